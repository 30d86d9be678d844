"""What a file would cost to read, from its own headers, before any library reads it.

Libraries walk chunks, directories and markers one by one, and some of them in Python or in
quadratic time, so a small picture in a file of a few megabytes can busy a core for minutes. Here
every walk is linear, and ends at a number of parts that no photograph has.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.directories import require_few_values, walk_directories
from diagnosis.core.formats.refusals import MAX_PIXELS, several_frames, too_costly, too_many_scans

MAX_FRAMES = 100  # beyond, a library is not asked how many there are
MAX_SEGMENTS = 1000  # of a JPEG's header: 20 MB in segments of 64 KiB are 320
MAX_JUNK = 2**16  # bytes between parts that belong to none
MAX_TABLES = 2 * 2**20  # bytes of tables, frames, EXIF and Photoshop's resources of a JPEG
MAX_SCANS = 100  # cameras write 1 and encoders at most 10
MAX_SCAN_PIXELS = 24 * MAX_PIXELS  # each scan is a pass over all pixels
SMALL_HEADER = 2**20  # bytes of a JPEG before its pixels; profile, preview and EXIF fit
FEW_SEGMENTS = 100
MAX_CHUNKS = 2**16  # of a PNG: 20 MB in chunks of 320 bytes
MAX_ANCILLARY = 1000
MAX_RECORDS = 20_000  # extensions and pictures of a GIF
MAX_EXTENSION_BYTES = 2**20
MAX_RIFF_CHUNKS = 10_000
MAX_RUN_LENGTHS = 2 * 2**20  # bytes of a BMP that Pillow decodes in Python

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_GIF_RECORD = re.compile(rb"[!,;]")
_ROWS = re.compile(rb"\x28\x00\x10\x00(?:US\x02\x00|\x02\x00\x00\x00)(..)", re.DOTALL)
_COLUMNS = re.compile(rb"\x28\x00\x11\x00(?:US\x02\x00|\x02\x00\x00\x00)(..)", re.DOTALL)


@dataclass(frozen=True)
class Structure:
    """What the headers of a file declare.

    Attributes:
        pixels: what there is to decode, by width × height, at most ``MAX_PIXELS``; 0 where the
            headers do not say.
        one_pass: a JPEG with a small header and a single scan, which libjpeg-turbo decodes
            line by line without keeping the whole.
    """

    pixels: int = 0
    one_pass: bool = False


def inspect(data: bytes) -> Structure:
    """Look at the structure of a file of any format that is taken; cheap whatever it holds.

    What is damaged or no image is left to the decoders, which say so.

    Raises:
        ImageRefusedError: ``too_costly`` or ``too_many_scans``, made of more parts than a
            photograph can have; or ``several_frames``, more than ``MAX_FRAMES`` of them.
    """
    for magic, reader in _READERS:
        if magic.match(data):
            try:
                found = reader(data)
            except (struct.error, IndexError):  # cut off within a header
                return Structure()
            return Structure(min(found.pixels, MAX_PIXELS), found.one_pass)
    return Structure()


def _jpeg(data: bytes) -> Structure:
    # One count bounds fill bytes, stuffed bytes, restarts and segments alike. Photographs hold
    # up to 1 in 40; restarts after every block are what the constant is for.
    marks = data.count(b"\xff")
    if marks > len(data) // 8 + 2**18:
        raise too_costly()
    header = _jpeg_header(data)
    scans = 1 + data.count(b"\xff\xda", header.end)
    passes = min(MAX_SCANS, MAX_SCAN_PIXELS // max(header.pixels, 1))
    if scans > passes:
        raise too_many_scans(passes)
    one_pass = (
        header.sequential
        and scans == header.frames == 1
        and header.components in (1, 3)
        and header.segments <= FEW_SEGMENTS
        and header.end <= SMALL_HEADER
        and header.modest_exif
        and marks <= len(data) // 32 + 2**16
    )
    return Structure(header.pixels, one_pass)


@dataclass
class _JpegHeader:
    """A JPEG up to the data of its first scan."""

    end: int = 2
    segments: int = 0
    tables: int = 0  # bytes of what is taken apart byte by byte
    junk: int = 0
    frames: int = 0
    pixels: int = 0
    components: int = 0
    sequential: bool = False
    modest_exif: bool = True


def _jpeg_header(data: bytes) -> _JpegHeader:
    header = _JpegHeader()
    while match := _MARKER.search(data, header.end):
        header.junk += match.start() - header.end
        header.segments += 1
        if header.segments > MAX_SEGMENTS or header.junk > MAX_JUNK:
            raise too_costly()
        marker, header.end = data[match.start() + 1], match.end()
        if marker in (0xDA, 0xD9):
            return header
        if not 0xD0 <= marker <= 0xD8 and marker != 0x01:  # these stand alone
            (length,) = struct.unpack_from(">H", data, header.end)
            _jpeg_segment(header, marker, data[header.end + 2 : header.end + length])
            header.end += max(length, 2)
    return header


def _jpeg_segment(header: _JpegHeader, marker: int, body: bytes) -> None:
    exif = marker == 0xE1 and body.startswith(b"Exif\0\0")
    if exif or 0xC0 <= marker <= 0xDF or marker == 0xED:
        header.tables += len(body)
        if header.tables > MAX_TABLES:
            raise too_costly()
    if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
        height, width, header.components = struct.unpack_from(">xHHB", body)
        header.pixels, header.frames = max(header.pixels, width * height), header.frames + 1
        header.sequential = marker in (0xC0, 0xC1)
    elif exif:
        try:
            require_few_values(body[6:])
        except ImageRefusedError:  # no reason to refuse the picture
            header.modest_exif = False


def _png(data: bytes) -> Structure:
    width, height = struct.unpack_from(">II", data, 16)
    at, chunks, ancillary = 8, 0, 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks += 1
        ancillary += kind not in (b"IDAT", b"fdAT", b"fcTL")
        if chunks > MAX_CHUNKS or ancillary > MAX_ANCILLARY:
            raise too_costly()
        if kind == b"eXIf":
            require_few_values(data[at + 8 : at + 8 + length])
        at += 12 + length
    return Structure(width * height)


def _tiff(data: bytes) -> Structure:
    found = walk_directories(data)
    if found.frames > MAX_FRAMES:
        raise several_frames(found.frames)
    return Structure(found.pixels)


def _gif(data: bytes) -> Structure:
    at = 13 + _colour_table(data[10])
    pixels = int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little")
    records, junk, frames, extended = 0, 0, 0, 0
    blocks_left = len(data) // 64 + 1000  # a full one has 255 bytes
    while match := _GIF_RECORD.search(data, at):
        junk += match.start() - at
        records += 1
        if records > MAX_RECORDS or junk > MAX_JUNK:
            raise too_costly()
        at = match.end()
        kind = data[at - 1 : at]
        if kind == b";":
            break
        start = at
        if kind == b",":
            width, height, flags = struct.unpack_from("<4xHHB", data, at)
            pixels, frames = max(pixels, width * height), frames + 1
            at += 9 + _colour_table(flags)
        at += 1  # the label of an extension, or the width of a picture's codes
        while length := data[at]:
            at += 1 + length
            blocks_left -= 1
            if not blocks_left:
                raise too_costly()
        at += 1
        extended += at - start if kind == b"!" else 0
        if extended > MAX_EXTENSION_BYTES:
            raise too_costly()
    if frames > MAX_FRAMES:
        raise several_frames(frames)
    return Structure(pixels)


def _colour_table(flags: int) -> int:
    """Bytes of a GIF's colour table."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> Structure:
    at, chunks, pixels = 12, 0, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        chunks += 1
        if chunks > MAX_RIFF_CHUNKS:
            raise too_costly()
        if kind == b"EXIF":
            require_few_values(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        elif kind in (b"VP8X", b"VP8 ", b"VP8L"):
            pixels = max(pixels, _webp_pixels(kind, data[at + 8 : at + 18]))
        at += 8 + length + length % 2
    return Structure(pixels)


def _webp_pixels(kind: bytes, header: bytes) -> int:
    if kind == b"VP8X":
        width, height = (int.from_bytes(header[at : at + 3], "little") + 1 for at in (4, 7))
    elif kind == b"VP8L":
        bits = int.from_bytes(header[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", header, 6))
    return width * height


def _bmp(data: bytes) -> Structure:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return Structure(width * height)
    width, height, compression = struct.unpack_from("<ii4xI", data, 18)
    if compression in (1, 2) and len(data) > MAX_RUN_LENGTHS:
        raise too_costly()
    return Structure(abs(width * height))


def _dicom(data: bytes) -> Structure:
    """The largest size that stands there as an element would; its reader counts the elements.

    Counted twice: JPEG 2000 takes as much longer for a pixel than the other codings.
    """
    rows, columns = (
        max((int.from_bytes(side, "little") for side in found.findall(data)), default=0)
        for found in (_ROWS, _COLUMNS)
    )
    return Structure(2 * rows * columns)


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], Structure]], ...] = (
    (re.compile(rb"\xff\xd8"), _jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    (re.compile(rb"II[*+]\x00|MM\x00[*+]|II\x00[*+]|MM[*+]\x00"), _tiff),
    (re.compile(rb"GIF8"), _gif),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), _webp),
    (re.compile(rb"BM"), _bmp),
    (re.compile(rb".{128}DICM", re.DOTALL), _dicom),
)
