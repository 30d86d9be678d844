"""Files in which a small picture has more parts than any photograph: cheap to send, dear to read.

Each has a few more parts than are taken, so it is quickly made; ``shared/cases`` has larger ones.
"""

import struct
import zlib
from collections.abc import Sequence

from PIL import Image

from diagnosis.core.imaging.synthetic import draw_smear
from tests.diagnosis.made.pictures import encode

SMEAR = Image.fromarray(draw_smear(3, 120, 160))
JPEG, PNG, WEBP = encode("JPEG", SMEAR), encode("PNG", SMEAR), encode("WEBP", SMEAR, lossless=True)
GIF = encode("GIF", SMEAR.convert("P"))
GIF_START = 13 + 3 * (2 << (GIF[10] & 7))  # of what follows the colour table
PROGRESSIVE = encode("JPEG", Image.new("L", (7000, 7000), 200), progressive=True)
LAST_PASS = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]
Tag = tuple[int, int, int, int]


def segment(marker: int, body: bytes = b"") -> bytes:
    """One of a JPEG's."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def after_start(extra: bytes) -> bytes:
    """A JPEG with something before everything else."""
    return JPEG[:2] + extra + JPEG[2:]


def before_end(extra: bytes) -> bytes:
    """A JPEG with something after its pixels."""
    return JPEG[:-2] + extra + JPEG[-2:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """One of a PNG's."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(extra: bytes) -> bytes:
    """A PNG with chunks after its header."""
    return PNG[:33] + extra + PNG[33:]


def gif(extra: bytes) -> bytes:
    """A GIF with something before its picture."""
    return GIF[:GIF_START] + extra + GIF[GIF_START:]


def webp(extra: bytes, flags: int = 0) -> bytes:
    """A WebP with chunks after its picture."""
    side = [struct.pack("<I", pixels - 1)[:3] for pixels in SMEAR.size]
    header = b"VP8X" + struct.pack("<II", 10, flags) + b"".join(side)
    body = header + WEBP[12:] + extra
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def directory(tags: Sequence[Tag], following: int = 0) -> bytes:
    """One of a TIFF's, its tags as (tag, type, count, value or offset)."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)


GREY = [
    (256, 4, 1, 300), (257, 4, 1, 300), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
    (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, 300), (279, 4, 1, 90_000),
]  # fmt: skip


def tiff(tags: Sequence[Tag] = (), behind: int = 2_000_000, following: int = 0) -> bytes:
    """A TIFF of one directory, with further tags, and so many bytes behind it."""
    merged = {tag[0]: tag for tag in [*GREY, *tags]}
    listed = [merged[number] for number in sorted(merged)]
    return b"II*\0" + struct.pack("<I", 8) + directory(listed, following) + bytes(behind)


def big_tiff(tags: Sequence[Tag]) -> bytes:
    """The same with 64-bit offsets."""
    listed = sorted([*GREY, *tags])
    entries = b"".join(struct.pack("<HHQQ", *tag) for tag in listed)
    start = b"II+\0" + struct.pack("<HHQ", 8, 0, 16)
    return start + struct.pack("<Q", len(listed)) + entries + bytes(8 + 2_000_000)


def directories(number: int) -> bytes:
    """A TIFF of so many directories, one behind the other."""
    length = len(directory(GREY))
    chain = (
        directory(GREY, 8 + length * place if place < number else 0)
        for place in range(1, number + 1)
    )
    return b"II*\0" + struct.pack("<I", 8) + b"".join(chain)


def branches(number: int) -> bytes:
    """A TIFF whose first directory names so many others below it."""
    length = len(directory([*GREY, (330, 4, 1, 0)]))
    below = 8 + length + 4 * number
    first = directory([*GREY, (330, 4, number, 8 + length)])
    one = directory(GREY)
    starts = [below + len(one) * place for place in range(number)]
    listed = struct.pack(f"<{number}I", *starts)
    return b"II*\0" + struct.pack("<I", 8) + first + listed + one * number


def exif(entries: int, values: int) -> bytes:
    """EXIF in which so many entries have so many fractions each, all at the same place."""
    tags = [(1000 + number, 5, values, 8) for number in range(entries)]
    return b"II*\0" + struct.pack("<I", 8) + directory(tags)


def run_length_bmp(width: int, height: int, body: bytes) -> bytes:
    """A BMP of one byte a pixel, its runs as they stand in ``body``."""
    start = 54 + 1024
    file = struct.pack("<IHHI", start + len(body), 0, 0, start)
    picture = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 2835, 2835, 256, 256
    )
    return b"BM" + file + picture + bytes(1024) + body


_COPIES = exif(3000, 4000)
TOO_COSTLY = {
    "jpeg: fill bytes": JPEG[:2] + b"\xff" * 400_000 + JPEG[3:],
    "jpeg: fill bytes before the end": before_end(b"\xff" * 400_000),
    "jpeg: stuffed bytes": before_end(b"\xff\0" * 400_000),
    "jpeg: stuffed bytes at the start": after_start(b"\xff\0" * 400_000),
    "jpeg: restarts": before_end(b"\xff\xd0" * 400_000),
    "jpeg: zeros at the start": after_start(bytes(70_000)),
    "jpeg: empty comments": after_start(segment(0xFE) * 1100),
    "jpeg: comments between scans": before_end(segment(0xFE) * 600_000),
    "jpeg: tables": after_start(segment(0xDB, (b"\0" + b"\1" * 64) * 1000) * 33),
    "jpeg: frames": after_start(segment(0xC0, b"\x08\1\0\1\0\xff" + bytes(65_000)) * 33),
    "jpeg: Photoshop": after_start(segment(0xED, b"Photoshop 3.0\0" + bytes(65_000)) * 33),
    "jpeg: EXIF": after_start(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 33),
    "png: empty chunks": png(chunk(b"abCd") * 1100),
    "png: texts": png(chunk(b"tEXt", b"a\0") * 1100),
    "png: deflated texts": png(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000))) * 1100),
    "png: empty pixel chunks": PNG[:33] + chunk(b"IDAT") * 70_000 + PNG[33:],
    "png: EXIF": png(chunk(b"eXIf", _COPIES)),
    "webp: chunks": webp(b"abcd\0\0\0\0" * 11_000),
    "webp: EXIF": webp(b"EXIF" + struct.pack("<I", len(_COPIES)) + _COPIES, flags=8),
    "gif: a comment in blocks of one byte": gif(b"\x21\xfe" + b"\1a" * 3000 + b"\0"),
    "gif: a long comment": gif(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 4500 + b"\0"),
    "gif: empty comments": gif(b"\x21\xfe\0" * 21_000),
    "gif: pixels in blocks of one byte": GIF[:-2] + b"\1a" * 3000 + b"\0;",
    "gif: zeros": gif(bytes(70_000)),
    "bmp: runs of one pixel": run_length_bmp(7000, 7000, b"\1\5" * 1_100_000),
    "bmp: empty runs": run_length_bmp(300, 300, b"\0\0" * 1_100_000),
    "tiff: directories": directories(10_001),
    "tiff: directories below one": branches(10_000),
    "tiff: strips": tiff([(273, 4, 250_000, 200), (279, 4, 250_000, 200)]),
    "tiff: strips, 64 bits": big_tiff([(330, 3, 250_000, 200)]),
    "tiff: tiles": tiff(
        [(322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 9000, 200), (325, 4, 9000, 200)]
    ),
    "tiff: fractions": tiff([(282, 5, 240_000, 200)]),
    "tiff: long numbers": tiff([(33550, 12, 240_000, 200)]),
    "tiff: bits of samples": tiff([(258, 3, 900_000, 200)]),
    "tiff: colours": tiff([(262, 3, 1, 3), (320, 3, 900_000, 200)]),
    "tiff: entries": tiff([(1000 + number, 7, 1, 0) for number in range(50_000)]),
    "tiff: one place for many": tiff([(1000 + number, 7, 1_900_000, 8) for number in range(9)]),
}
TOO_MANY_SCANS = {
    "of a small picture": before_end(JPEG[JPEG.index(b"\xff\xda") : -2] * 101),
    "of a large picture": PROGRESSIVE[:-2] + LAST_PASS * 30 + b"\xff\xd9",
}
SEVERAL_FRAMES = {
    "tiff": directories(120),
    "gif": GIF[:-1] + GIF[GIF_START:-1] * 119 + b";",
}
