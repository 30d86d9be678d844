"""The segments of a JPEG file: what of them is kept, and bytes between them that mean nothing.

Cameras and their programs leave zeros between segments and behind the data of a scan. libjpeg
skips them and warns, as it does of damaged data, so they are taken out before a strict decode
decides. Every walk here is linear in the file.
"""

import itertools
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from diagnosis.core.formats.refusals import damaged

APP0, APP2, START_OF_SCAN, END = 0xE0, 0xE2, 0xDA, 0xD9
ICC_MARK = b"ICC_PROFILE\0"
ICC_PART = 65_535 - 2 - len(ICC_MARK) - 2  # bytes of a profile that one segment holds
LONGEST_REMAINDER = 3  # zeros that may belong to the data before them
USUAL_RUNS = 3  # lengths of runs of zeros that are tried as what a writer adds
MAX_SEGMENTS = 10_000  # a profile or a film in a file of 20 MB takes some three hundred
MAX_INTERVALS = 100_000  # cameras restart at every row of blocks or so
MAX_PICTURES = 100  # looked for behind the first one

# One byte again and again, then fill bytes, then a marker. Anything else between two segments may
# be a scan whose own marker is damaged.
_NEXT = re.compile(rb"(?s)(?:([^\xff])\1*+)?\xff++([^\x00\xff])")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"(\xff[\xd0-\xd7])")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Segment:
    """``data[start:end]``: a marker, what belongs to it, and for a scan its coded data."""

    marker: int
    start: int
    end: int


def is_jpeg(data: bytes) -> bool:
    """Whether ``data`` begins as a JPEG file does."""
    return data.startswith(b"\xff\xd8")


def segments(data: bytes, start: int = 0) -> Iterator[Segment]:
    """The segments of the picture that begins at ``start``, its end included.

    Stops before whatever is cut off or separated from what precedes it by more than one byte's
    repetition.

    Raises:
        ImageRefusedError: more segments than any writer makes, each of which costs time.
    """
    position = start + 2
    seen = 0
    while match := _NEXT.match(data, position):
        seen += 1
        if seen > MAX_SEGMENTS:
            raise damaged()
        marker, begins = match[2][0], match.end() - 2
        if marker == END or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            end = match.end()  # these have no length
        else:
            if begins + 4 > len(data):
                return
            end = begins + 2 + struct.unpack_from(">H", data, begins + 2)[0]
            if marker == START_OF_SCAN:
                following = _AFTER_SCAN.search(data, end)
                end = following.start() if following else len(data)
        if end > len(data):
            return
        yield Segment(marker, begins, end)
        if marker == END:
            return
        position = end


def without_gaps(data: bytes) -> bytes:
    """``data`` without surplus bytes between its segments, or ``data`` itself if there are none.

    What follows the end of a picture goes with them.
    """
    found = list(segments(data))
    if not found or found[-1].marker != END:
        return data
    whole = data[:2] + b"".join(data[one.start : one.end] for one in found)
    return data if len(whole) == found[-1].end else whole


def without_surplus(data: bytes) -> Iterator[bytes]:
    """Forms of ``data`` without the zeros behind the coded data of its scans.

    A strict decode has to choose among them: up to ``LONGEST_REMAINDER`` zeros may belong to the
    data, and of a form that is too long or cut off the decoder warns. Zeros in place of lost data
    are more than that, and no form of them is whole. Nothing comes if there is no surplus.
    """
    found = list(segments(data))
    intervals = sum(data.count(bytes([0xFF, marker])) for marker in range(0xD0, 0xD8))
    if not found or found[-1].marker != END or intervals > MAX_INTERVALS:
        return
    pieces = [(data[:2], 0), *itertools.chain.from_iterable(_pieces(data, one) for one in found)]
    tried = {data}
    for left in _remainders([zeros for _, zeros in pieces if zeros]):
        form = b"".join(piece + bytes(left(zeros)) for piece, zeros in pieces)
        if form not in tried:
            tried.add(form)
            yield form


def _pieces(data: bytes, one: Segment) -> Iterator[tuple[bytes, int]]:
    """What a segment consists of, and how many zeros stand behind each part of coded data."""
    if one.marker != START_OF_SCAN:
        yield data[one.start : one.end], 0
        return
    coded = one.start + 2 + struct.unpack_from(">H", data, one.start + 2)[0]
    yield data[one.start : coded], 0
    for number, part in enumerate(_RESTART.split(data[coded : one.end])):
        if number % 2:
            yield part, 0
            continue
        filled = part.rstrip(b"\xff")  # fill bytes; data writes its own FF as FF 00
        bare = filled.rstrip(b"\0")
        bare += b"\0" * bare.endswith(b"\xff")
        yield bare, len(filled) - len(bare)


def _remainders(runs: list[int]) -> Iterator[Callable[[int], int]]:
    """What may be left of a run of zeros: nothing, what is above the usual surplus, or a few."""
    yield lambda run: 0
    for surplus, _ in Counter(runs).most_common(USUAL_RUNS):
        yield partial(_above, surplus)
    for most in range(1, LONGEST_REMAINDER + 1):
        yield partial(min, most)


def _above(surplus: int, run: int) -> int:
    """A writer adds as much everywhere; a shorter run belongs to the data."""
    return run if run < surplus else min(run - surplus, LONGEST_REMAINDER)


def strip_jpeg_metadata(data: bytes, profile: bytes | None = b"") -> bytes:
    """A JPEG without EXIF, XMP, comments, previews and whatever follows its end.

    Keeps APP0 (JFIF) and APP14 (Adobe: says how colours are coded) and copies the entropy-coded
    scans byte for byte. Expects a file that ``decode`` accepted.

    Args:
        profile: the ICC profile that the result carries in place of the file's own; ``None``
            leaves that as it is.
    """
    head, rest = [data[:2]], list[bytes]()
    for one in segments(data):
        kept = data[one.start : one.end]
        own_profile = one.marker == APP2 and kept[4:].startswith(ICC_MARK)
        if one.marker == APP0 and not rest:
            head.append(kept)  # JFIF is the first segment or is none
        elif (own_profile and profile is None) or not _is_metadata(one.marker):
            rest.append(kept)
    return b"".join([*head, *_profile_segments(profile or b""), *rest, b"\xff\xd9"])


def _is_metadata(marker: int) -> bool:
    return 0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE, END)


def _profile_segments(profile: bytes) -> list[bytes]:
    parts = [profile[at : at + ICC_PART] for at in range(0, len(profile), ICC_PART)]
    return [
        struct.pack(">BBH", 0xFF, APP2, 2 + len(ICC_MARK) + 2 + len(part))
        + ICC_MARK
        + bytes([number, len(parts)])
        + part
        for number, part in enumerate(parts, start=1)
    ]


def larger_picture_follows(data: bytes, pixels: int) -> bool:
    """Whether behind the first picture lies one of more than ``pixels`` pixels.

    Cameras append previews (MPO), gain maps and films to a photograph.
    """
    if data.find(b"\xff\xd8\xff", 2) < 0:  # spares nearly every file the walk
        return False
    found = list(segments(data))
    at = found[-1].end if found else len(data)
    for _ in range(MAX_PICTURES):
        at = data.find(b"\xff\xd8\xff", at)
        if at < 0:
            return False
        if _pixels(data, at) > pixels:
            return True
        at += 3
    return False


def _pixels(data: bytes, start: int) -> int:
    """Of the picture at ``start`` as its header declares it; 0 if it has none."""
    for one in itertools.islice(segments(data, start), 1000):
        if one.marker in _FRAMES and one.end - one.start >= 9:
            height, width = struct.unpack_from(">HH", data, one.start + 5)
            return int(height * width)
    return 0
