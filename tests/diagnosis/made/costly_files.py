"""Files in which a small picture has more parts than any photograph: cheap to send, dear to read.

Each has a few more parts than are taken, so it is quickly made; ``shared/cases`` has larger ones.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import partial

from PIL import Image

from tests.diagnosis.made.pictures import Lazy, drawn, encode

HEIGHT, WIDTH = 120, 160
smear = partial(drawn, 3, HEIGHT, WIDTH)
PLAIN = Lazy(
    {
        "jpeg": lambda: encode("JPEG", smear()),
        "png": lambda: encode("PNG", smear()),
        "webp": lambda: encode("WEBP", smear(), lossless=True),
        "gif": lambda: encode("GIF", Image.fromarray(smear()).convert("P")),
    }
)
Tag = tuple[int, int, int, int]


def segment(marker: int, body: bytes = b"") -> bytes:
    """One of a JPEG's."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def after_start(extra: bytes) -> bytes:
    """A JPEG with something before everything else."""
    return PLAIN["jpeg"][:2] + extra + PLAIN["jpeg"][2:]


def before_end(extra: bytes) -> bytes:
    """A JPEG with something after its pixels."""
    return PLAIN["jpeg"][:-2] + extra + PLAIN["jpeg"][-2:]


def more_scans(jpeg: bytes, number: int) -> bytes:
    """The JPEG with its last scan so many times more."""
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last * number + jpeg[-2:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """One of a PNG's."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(extra: bytes) -> bytes:
    """A PNG with chunks after its header."""
    return PLAIN["png"][:33] + extra + PLAIN["png"][33:]


def gif(extra: bytes) -> bytes:
    """A GIF with something before its picture."""
    head, picture = _gif_parts()
    return head + extra + picture


def gif_frames(number: int) -> bytes:
    """A GIF of so many pictures."""
    head, picture = _gif_parts()
    return head + picture[:-1] * number + b";"


def _gif_parts() -> tuple[bytes, bytes]:
    """What stands up to the colour table, and what follows it."""
    file = PLAIN["gif"]
    start = 13 + 3 * (2 << (file[10] & 7))
    return file[:start], file[start:]


def webp(extra: bytes, flags: int = 0) -> bytes:
    """A WebP with chunks after its picture."""
    side = [struct.pack("<I", pixels - 1)[:3] for pixels in (WIDTH, HEIGHT)]
    header = b"VP8X" + struct.pack("<II", 10, flags) + b"".join(side)
    body = header + PLAIN["webp"][12:] + extra
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


_copies = partial(exif, 3000, 4000)
TOO_COSTLY = Lazy(
    {
        "jpeg: fill bytes": lambda: PLAIN["jpeg"][:2] + b"\xff" * 400_000 + PLAIN["jpeg"][3:],
        "jpeg: fill bytes before the end": lambda: before_end(b"\xff" * 400_000),
        "jpeg: stuffed bytes": lambda: before_end(b"\xff\0" * 400_000),
        "jpeg: stuffed bytes at the start": lambda: after_start(b"\xff\0" * 400_000),
        "jpeg: restarts": lambda: before_end(b"\xff\xd0" * 400_000),
        "jpeg: zeros at the start": lambda: after_start(bytes(70_000)),
        "jpeg: empty comments": lambda: after_start(segment(0xFE) * 1100),
        "jpeg: comments between scans": lambda: before_end(segment(0xFE) * 600_000),
        "jpeg: tables": lambda: after_start(segment(0xDB, (b"\0" + b"\1" * 64) * 1000) * 33),
        "jpeg: frames": lambda: after_start(
            segment(0xC0, b"\x08\1\0\1\0\xff" + bytes(65_000)) * 33
        ),
        "jpeg: Photoshop": lambda: after_start(
            segment(0xED, b"Photoshop 3.0\0" + bytes(65_000)) * 33
        ),
        "jpeg: EXIF": lambda: after_start(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 33),
        "png: empty chunks": lambda: png(chunk(b"abCd") * 1100),
        "png: texts": lambda: png(chunk(b"tEXt", b"a\0") * 1100),
        "png: deflated texts": lambda: png(
            chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000))) * 1100
        ),
        "png: empty pixel chunks": lambda: png(chunk(b"IDAT") * 70_000),
        "png: EXIF": lambda: png(chunk(b"eXIf", _copies())),
        "webp: chunks": lambda: webp(b"abcd\0\0\0\0" * 11_000),
        "webp: EXIF": lambda: webp(
            b"EXIF" + struct.pack("<I", len(_copies())) + _copies(), flags=8
        ),
        "gif: a comment in blocks of one byte": lambda: gif(b"\x21\xfe" + b"\1a" * 3000 + b"\0"),
        "gif: a long comment": lambda: gif(b"\x21\xfe" + (b"\xff" + b"a" * 255) * 4500 + b"\0"),
        "gif: empty comments": lambda: gif(b"\x21\xfe\0" * 21_000),
        "gif: pixels in blocks of one byte": lambda: PLAIN["gif"][:-2] + b"\1a" * 3000 + b"\0;",
        "gif: zeros": lambda: gif(bytes(70_000)),
        "bmp: runs of one pixel": lambda: run_length_bmp(7000, 7000, b"\1\5" * 1_100_000),
        "bmp: empty runs": lambda: run_length_bmp(300, 300, b"\0\0" * 1_100_000),
        "tiff: directories": lambda: directories(10_001),
        "tiff: directories below one": lambda: branches(10_000),
        "tiff: strips": lambda: tiff([(273, 4, 250_000, 200), (279, 4, 250_000, 200)]),
        "tiff: strips, 64 bits": lambda: big_tiff([(330, 3, 250_000, 200)]),
        "tiff: tiles": lambda: tiff(
            [(322, 4, 1, 16), (323, 4, 1, 16), (324, 4, 9000, 200), (325, 4, 9000, 200)]
        ),
        "tiff: fractions": lambda: tiff([(282, 5, 240_000, 200)]),
        "tiff: long numbers": lambda: tiff([(33550, 12, 240_000, 200)]),
        "tiff: bits of samples": lambda: tiff([(258, 3, 900_000, 200)]),
        "tiff: colours": lambda: tiff([(262, 3, 1, 3), (320, 3, 900_000, 200)]),
        "tiff: entries": lambda: tiff([(1000 + number, 7, 1, 0) for number in range(50_000)]),
        "tiff: one place for many": lambda: tiff(
            [(1000 + number, 7, 1_900_000, 8) for number in range(9)]
        ),
    }
)
TOO_MANY_SCANS = Lazy(
    {
        "of a small picture": lambda: more_scans(PLAIN["jpeg"], 101),
        "of a large picture": lambda: more_scans(
            encode("JPEG", Image.new("L", (7000, 7000), 200), progressive=True), 30
        ),
    }
)
SEVERAL_FRAMES = Lazy(
    {
        "tiff": lambda: directories(120),
        "gif": lambda: gif_frames(120),
    }
)
