"""Which of the pictures in a TIFF file is the photograph.

A TIFF file may hold previews, reduced copies and masks beside it: as further directories of its
chain or as SubIFDs of one. Raw files of cameras (DNG, NEF, CR2) are TIFF files whose first
directory is a preview. A reduced picture is never judged.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.refusals import damaged, reduced_picture, require_size, several_frames
from diagnosis.core.i18n import gettext_noop as _

MAX_DIRECTORIES = 1000  # a pyramid has some ten
MAX_ENTRIES = 1000  # of one directory; a camera writes some hundred

WIDTH, LENGTH, BITS, PHOTOMETRIC, PLANAR = 256, 257, 258, 262, 284
SUBFILE, OLD_SUBFILE, SUB_DIRECTORIES, SAMPLE_FORMAT = 254, 255, 330, 339
ORIENTATION, ICC_PROFILE = 274, 34675
REDUCED, MASK, DEPTH = 1, 4, 8  # bits of SUBFILE
MASK_COLOURS, MOSAIC, LINEAR_RAW = 4, 32803, 34892  # of PHOTOMETRIC
COLOURS = (2, 5, 6, 8)  # RGB, CMYK, YCbCr and Lab
RAW_STARTS = (
    b"IIRO", b"IIRS", b"MMOR",  # Olympus
    b"IIU\0", b"FUJIFILMCCD-RAW", b"\0MRM",  # Panasonic, Fujifilm, Minolta
    b"\0\0\0\x18ftypcrx",  # Canon CR3
)  # fmt: skip
RAW_WITHIN = (b"CR\2", b"IIII", b"MMMM")  # at byte 8 of a TIFF file: Canon CR2, Phase One

_NUMBERS = {1: "B", 3: "H", 4: "L", 8: "h", 9: "l", 13: "L", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How offsets and counts are written; BigTIFF has more of everything."""

    order: str  # of struct: "<" or ">"
    big: bool

    @property
    def entry(self) -> int:
        """Bytes of one entry: tag, type, count, value or offset."""
        return 20 if self.big else 12

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "L"))

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "H"))


@dataclass(eq=False, slots=True)
class _Directory:
    """One directory: a picture, or what belongs to another.

    Attributes:
        at: its offset.
        after: offset of the pointer to the next one in its chain.
        values: of the tags that matter, by tag.
        entries: all of them as they are written, by tag.
        parent: the directory of which it is a SubIFD.
    """

    at: int
    after: int
    entries: dict[int, bytes]
    values: dict[int, tuple[int, ...]]
    parent: "_Directory | None" = None
    children: "list[_Directory]" = field(default_factory=list)

    def first(self, tag: int, default: int = 0) -> int:
        """The tag's first number."""
        return (self.values.get(tag) or (default,))[0]

    @property
    def pixels(self) -> int:
        return self.first(WIDTH) * self.first(LENGTH)

    @property
    def reduced(self) -> bool:
        return bool(self.first(SUBFILE) & REDUCED) or self.first(OLD_SUBFILE) == 2

    @property
    def mask(self) -> bool:
        other = self.first(SUBFILE) & (MASK | DEPTH)
        return bool(other) or self.first(PHOTOMETRIC) == MASK_COLOURS

    @property
    def raw(self) -> bool:
        return self.first(PHOTOMETRIC) in (MOSAIC, LINEAR_RAW)


_READ = (
    WIDTH, LENGTH, BITS, PHOTOMETRIC, PLANAR, SUBFILE, OLD_SUBFILE, SUB_DIRECTORIES, SAMPLE_FORMAT,
)  # fmt: skip


def is_tiff(data: bytes) -> bool:
    """Whether ``data`` begins as a TIFF or BigTIFF file does."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def photograph(data: bytes) -> bytes:
    """``data`` with the photograph as its first and only directory.

    Raises:
        ImageRefusedError: several photographs, none but reduced ones, unprocessed data of a
            camera's sensor, samples of a kind that is not taken, or damaged directories.
    """
    if data[8:12].startswith(RAW_WITHIN):
        raise raw_photograph()
    layout = _Layout("<" if data[:2] == b"II" else ">", data[2:4] in (b"+\0", b"\0+"))
    start = 8 if layout.big else 4
    try:
        first = layout.offset.unpack_from(data, start)[0]
        directories = list(_directories(data, layout, first))
    except (struct.error, ValueError, OverflowError) as error:
        raise damaged() from error
    pictures = [one for one in directories if one.pixels]
    if not pictures:  # whatever reads it says what is wrong
        return data
    chosen = _choice(pictures)
    _require_samples(chosen)
    require_size(chosen.first(WIDTH), chosen.first(LENGTH))
    return data if len(directories) == 1 else _alone(data, layout, start, directories[0], chosen)


def raw_photograph() -> ImageRefusedError:
    """A mosaic of the sensor's red, green and blue; how it becomes colours is the camera's."""
    return ImageRefusedError(
        "raw_photograph",
        _("The file is a camera's raw photograph, which has no colours until it is developed."),
        _("Develop it in the camera's program, and send it as a JPEG or TIFF file."),
    )


def unreadable() -> ImageRefusedError:
    """The photograph in the file is coded in a way that nobody here reads."""
    return ImageRefusedError(
        "tiff_coding",
        _("The picture in the TIFF file is coded in a way that cannot be read."),
        _("Export it as a JPEG or as a TIFF file with 8 bits a colour."),
    )


def _directories(data: bytes, layout: _Layout, first: int) -> Iterator[_Directory]:
    """Every directory of the chain and of the SubIFDs, each once."""
    waiting: list[tuple[int, _Directory | None]] = [(first, None)]
    seen: set[int] = set()
    while waiting:
        at, parent = waiting.pop()
        if not at or at in seen:
            continue
        seen.add(at)
        if len(seen) > MAX_DIRECTORIES:
            raise several_frames(len(seen))
        one = _directory(data, layout, at, parent)
        if parent is not None:
            parent.children.append(one)
        yield one
        # The next of a SubIFD's own chain belongs to the same parent.
        waiting.append((layout.offset.unpack_from(data, one.after)[0], parent))
        waiting.extend((child, one) for child in one.values.get(SUB_DIRECTORIES, ()))


def _directory(data: bytes, layout: _Layout, at: int, parent: _Directory | None) -> _Directory:
    (count,) = layout.count.unpack_from(data, at)
    start, size = at + layout.count.size, layout.entry
    after = start + count * size
    if not 0 < count <= MAX_ENTRIES or after + layout.offset.size > len(data):
        raise damaged()
    entries: dict[int, bytes] = {}
    for place in range(start, after, size):
        (tag,) = struct.unpack_from(layout.order + "H", data, place)
        entries.setdefault(tag, data[place : place + size])
    values = {tag: _values(data, layout, entries[tag]) for tag in _READ if tag in entries}
    return _Directory(at, after, entries, values, parent)


def _values(data: bytes, layout: _Layout, entry: bytes) -> tuple[int, ...]:
    """The whole numbers of one entry, which lie in it or where it points."""
    kind, count = struct.unpack_from(layout.order + ("HQ" if layout.big else "HL"), entry, 2)
    if count > MAX_DIRECTORIES:
        raise damaged()
    if kind not in _NUMBERS:
        return ()
    numbers = struct.Struct(f"{layout.order}{count}{_NUMBERS[kind]}")
    place = layout.entry - layout.offset.size
    if numbers.size <= layout.offset.size:
        return numbers.unpack_from(entry, place)
    return numbers.unpack_from(data, layout.offset.unpack_from(entry, place)[0])


def _choice(pictures: list[_Directory]) -> _Directory:
    """The one photograph among ``pictures``."""
    pictures = [one for one in pictures if not one.mask]
    full = [one for one in pictures if not one.reduced]
    if any(one.raw for one in full):
        raise raw_photograph()
    # Writers that set no flag: a smaller child is a reduced copy, a larger one the photograph.
    full = [
        one
        for one in full
        if not (one.parent and one.pixels < one.parent.pixels)
        and not any(child in full and child.pixels > one.pixels for child in one.children)
    ]
    if len(full) > 1:
        raise several_frames(len(full))
    if not full or any(one.pixels > full[0].pixels for one in pictures):
        raise reduced_picture()
    return full[0]


def _require_samples(chosen: _Directory) -> None:
    bits, kinds = chosen.values.get(BITS, (1,)), set(chosen.values.get(SAMPLE_FORMAT, (1,)))
    taken = {8, 16} if chosen.first(PHOTOMETRIC) in COLOURS else {1, 2, 4, 8, 16, 32}
    if chosen.first(PLANAR) == 2:  # Pillow takes samples of 16 bits, each colour by itself, for 8
        taken = taken - {16}
    if BITS in chosen.entries and not (set(bits) <= taken and kinds <= {1, 4}):
        raise ImageRefusedError(
            "sample_depth",
            _("The samples of the TIFF picture, of {bits} bits, are of a kind that is not taken."),
            _("Export the picture with 8 bits a colour, as JPEG, PNG or TIFF."),
            bits=max(bits, default=0),
        )


def _alone(
    data: bytes, layout: _Layout, start: int, first: _Directory, chosen: _Directory
) -> bytes:
    """The file with its header pointing to a copy of ``chosen``, behind which none follows.

    Readers know nothing of SubIFDs, and count the directories of a chain at every turn. What the
    first directory says of the file as a whole holds where ``chosen`` says nothing of it.
    """
    of_all = {tag: first.entries[tag] for tag in (ORIENTATION, ICC_PROFILE) if tag in first.entries}
    entries = sorted((of_all | chosen.entries).items())
    alone = bytearray(data + bytes(len(data) % 2))  # a directory begins at an even offset
    layout.offset.pack_into(alone, start, len(alone))
    alone += layout.count.pack(len(entries)) + b"".join(entry for _, entry in entries)
    alone += layout.offset.pack(0)
    return bytes(alone)
