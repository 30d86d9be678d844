"""TIFF files of several directories, which no library here writes as cameras do."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SHORT, LONG, LONG8 = 3, 4, 16
_SIZES = {1: 1, SHORT: 2, LONG: 4, 7: 1, LONG8: 8}
_CODES = {1: "B", SHORT: "H", LONG: "L", 7: "B", LONG8: "Q"}


@dataclass
class Page:
    """A directory: pixels [H, W, 3] or [H, W] uint8 or uint16, uncompressed in one strip.

    Attributes:
        tags: (type, values) by tag, beside or in place of those that the pixels need.
        children: its SubIFDs.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    tags: dict[int, tuple[int, list[int]]] = field(default_factory=dict)
    children: "list[Page]" = field(default_factory=list)


def reduced(pixels: NDArray[np.uint8]) -> Page:
    """A page that says of itself that it is a reduced copy."""
    return Page(pixels, {254: (LONG, [1])})


def tiff(*chain: Page, order: str = "<", big: bool = False) -> bytes:
    """A TIFF file, or BigTIFF, of the pages of ``chain``."""
    file = _File(order, big)
    file.chain(chain, file.start)
    return bytes(file.data)


class _File:
    def __init__(self, order: str, big: bool) -> None:
        self.order, self.big = order, big
        magic = b"II" if order == "<" else b"MM"
        head = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
        self.data = bytearray(magic + head)
        self.start = len(self.data)
        self.data += self.offset(0)

    def offset(self, value: int) -> bytes:
        return struct.pack(self.order + ("Q" if self.big else "L"), value)

    def put(self, value: bytes) -> int:
        """Append at an even place, which is returned."""
        self.data += bytes(len(self.data) % 2)
        self.data += value
        return len(self.data) - len(value)

    def chain(self, pages: "tuple[Page, ...] | list[Page]", pointer: int) -> None:
        for page in pages:
            pointer = self.directory(page, pointer)

    def directory(self, page: Page, pointer: int) -> int:
        """Write a page, let ``pointer`` point to it; gives the place of its own pointer."""
        height, width = page.pixels.shape[:2]
        samples = 1 if page.pixels.ndim == 2 else page.pixels.shape[2]
        written = page.pixels.astype(page.pixels.dtype.newbyteorder(self.order)).tobytes()
        strip = self.put(written)
        children = [self.alone(child) for child in page.children]
        tags = {
            256: (LONG, [width]), 257: (LONG, [height]),
            258: (SHORT, [8 * page.pixels.itemsize] * samples), 259: (SHORT, [1]),
            262: (SHORT, [2 if samples == 3 else 1]), 273: (LONG, [strip]), 277: (SHORT, [samples]),
            278: (LONG, [height]), 279: (LONG, [len(written)]),
            **({330: (LONG8 if self.big else LONG, children)} if children else {}), **page.tags,
        }  # fmt: skip
        entries = b"".join(self.entry(tag, *tags[tag]) for tag in sorted(tags))
        count = struct.pack(self.order + ("Q" if self.big else "H"), len(tags))
        place = self.put(count + entries + self.offset(0))
        self.data[pointer : pointer + len(self.offset(0))] = self.offset(place)
        return len(self.data) - len(self.offset(0))

    def alone(self, page: Page) -> int:
        """The place of a directory that is in no chain."""
        pointer = self.put(self.offset(0))
        self.directory(page, pointer)
        (place,) = struct.unpack_from(self.order + ("Q" if self.big else "L"), self.data, pointer)
        return int(place)

    def entry(self, tag: int, kind: int, values: list[int]) -> bytes:
        value = struct.pack(f"{self.order}{len(values)}{_CODES[kind]}", *values)
        room = len(self.offset(0))
        written = value.ljust(room, b"\0") if len(value) <= room else self.offset(self.put(value))
        return struct.pack(self.order + "HH", tag, kind) + self.offset(len(values)) + written
