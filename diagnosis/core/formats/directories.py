"""Directories of TIFF files, and of EXIF, which is one: how many, and how much they list."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from diagnosis.core.formats.refusals import too_costly

MAX_DIRECTORIES = 10_000  # that are counted, so that a person hears how many pictures there are
MAX_ENTRIES = 50_000  # in all of them; a photograph's have some dozen each
MAX_VALUES = 3 * 2**16  # of one entry that are numbers: the longest that TIFF knows, a palette
MAX_PARTS = 2**17  # strips or tiles
MAX_PLANES = 8  # colours that may lie in strips of their own

_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_SIZES = (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT)
_STRIPS, _TILES = (273, 279), (324, 325)  # where they lie, and how long they are
_NESTED = (330, 34665, 34853, 40965)  # SubIFDs, EXIF, GPS, interoperability
_NUMBERS = {3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {16: 8, 17: 8, 18: 8}


@dataclass(frozen=True)
class Directories:
    """What was found.

    Attributes:
        frames: directories in the main chain, whatever they hold.
        pixels: of the largest picture in any of them, width × height.
    """

    frames: int
    pixels: int


@dataclass
class _Walk:
    data: bytes
    pixels: int = 0
    entries: int = 0
    claimed: int = 0
    nested: list[int] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.order = "<" if self.data[:2] == b"II" else ">"
        self.big = 43 in self.data[2:4]

    def unpack(self, layout: str, at: int) -> Sequence[int]:
        """Numbers at an offset; ``struct.error`` where the file ends before."""
        return struct.unpack_from(self.order + layout, self.data, at)

    def directory(self, at: int) -> int:
        """Take in the directory at an offset; gives the next one's, 0 after the last."""
        (count,) = self.unpack("Q" if self.big else "H", at)
        self.entries += count
        if self.entries > MAX_ENTRIES:
            raise too_costly()
        at += 8 if self.big else 2
        layout, length = ("HHQ", 20) if self.big else ("HHL", 12)
        sizes: dict[int, int] = {}
        parts: list[tuple[int, int]] = []
        for start in range(at, at + count * length, length):
            tag, kind, values = self.unpack(layout, start)
            if tag in _STRIPS + _TILES:
                parts.append((tag, values))
            else:
                self.require_few(kind, values)
            if tag in _SIZES or tag in _NESTED:
                found = self.values(kind, values, start + struct.calcsize("<" + layout))
                if tag in _SIZES:
                    sizes[tag] = next(found, 0)
                else:
                    self.nested += found
        self.pixels = max(self.pixels, sizes.get(_WIDTH, 0) * sizes.get(_HEIGHT, 0))
        _require_few_parts(parts, sizes)
        return self.unpack("Q" if self.big else "L", at + count * length)[0]

    def require_few(self, kind: int, values: int) -> None:
        """Numbers are made into objects one by one, bytes are copied."""
        size = _BYTES.get(kind, 0)
        self.claimed += min(size * values, len(self.data))
        if self.claimed > 2 * len(self.data) + 2**16:  # arrays that lie over one another
            raise too_costly()
        if values > MAX_VALUES and kind not in (1, 2, 6, 7) and size * values <= len(self.data):
            raise too_costly()

    def values(self, kind: int, count: int, at: int) -> Iterator[int]:
        """The values of an entry of whole numbers, up to as many as there may be directories."""
        if kind not in _NUMBERS or count > MAX_DIRECTORIES:
            return
        if _BYTES[kind] * count > (8 if self.big else 4):
            (at,) = self.unpack("Q" if self.big else "L", at)
        yield from self.unpack(f"{count}{_NUMBERS[kind]}", at)


def walk_directories(data: bytes) -> Directories:
    """Follow the directories of a TIFF file, each once.

    Raises:
        ImageRefusedError: more directories, entries or values than a photograph can have.
        struct.error: the file ends within its first directory.
    """
    walk = _Walk(data)
    (at,) = walk.unpack("Q" if walk.big else "L", 8 if walk.big else 4)
    frames = 0
    while at and at not in walk.seen:
        frames += 1
        at = _enter(walk, at, first=frames == 1)
    while walk.nested:
        at = walk.nested.pop()
        if at and at not in walk.seen:
            _enter(walk, at)
    return Directories(frames, walk.pixels)


def require_few_values(exif: bytes) -> None:
    """Look at EXIF as its readers will find it; what is damaged they pass over.

    Raises:
        ImageRefusedError: as for ``walk_directories``.
    """
    if exif[:2] in (b"II", b"MM"):
        try:
            walk_directories(exif)
        except struct.error:
            return


def _enter(walk: _Walk, at: int, *, first: bool = False) -> int:
    walk.seen.add(at)
    if len(walk.seen) > MAX_DIRECTORIES:
        raise too_costly()
    try:
        return walk.directory(at)
    except struct.error:
        if first:
            raise
        return 0  # a chain that leads out of the file ends there


def _require_few_parts(parts: Sequence[tuple[int, int]], sizes: dict[int, int]) -> None:
    """Not more strips than rows and planes, nor more tiles than cover the picture."""
    width, height = sizes.get(_WIDTH, 0), sizes.get(_HEIGHT, 0)
    across, down = max(1, sizes.get(_TILE_WIDTH, 1)), max(1, sizes.get(_TILE_HEIGHT, 1))
    for tag, count in parts:
        needed = height if tag in _STRIPS else -(-width // across) * -(-height // down)
        if count > min(MAX_PLANES * max(needed, 1), MAX_PARTS):
            raise too_costly()
