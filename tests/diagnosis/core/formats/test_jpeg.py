"""Bytes in a JPEG file that mean nothing are dropped; damage is not."""

import contextlib
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode, to_stored
from diagnosis.core.formats.jpeg import (
    MAX_INTERVALS,
    MAX_SEGMENTS,
    segments,
    without_gaps,
    without_surplus,
)
from tests.diagnosis.made.dicom_files import dicom
from tests.diagnosis.made.pictures import Lazy, drawn, encode

FLAT = Image.new("RGB", (160, 120), (220, 200, 215))
ROTATED = Image.Exif()
ROTATED[0x0112] = 6


def _image() -> Image.Image:
    return Image.fromarray(drawn(3, 120, 160))


CLEAN = Lazy(
    {
        "plain": lambda: encode("JPEG", _image()),
        "progressive": lambda: encode("JPEG", _image(), progressive=True),
        "restarts": lambda: encode("JPEG", _image(), restart_marker_blocks=5),
        "flat": lambda: encode("JPEG", FLAT, restart_marker_blocks=3, optimize=True),
        "grey": lambda: encode("JPEG", _image().convert("L")),
        "cmyk": lambda: encode("JPEG", _image().convert("CMYK")),
        "rotated": lambda: encode("JPEG", _image(), exif=ROTATED, restart_marker_blocks=5),
    }
)


def _starts(data: bytes) -> list[int]:
    return [one.start for one in segments(data)]


def _put(data: bytes, surplus: bytes, places: list[int]) -> bytes:
    for place in sorted(places, reverse=True):
        data = data[:place] + surplus + data[place:]
    return data


def _restarts(data: bytes) -> list[int]:
    return [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", data)]


SURPLUS: dict[str, Callable[[bytes], bytes]] = {
    "16 zeros before the end": lambda data: _put(data, bytes(16), [len(data) - 2]),
    "600 zeros before the end": lambda data: _put(data, bytes(600), [len(data) - 2]),
    "zeros behind the start": lambda data: _put(data, bytes(4), [2]),
    "zeros between all segments": lambda data: _put(data, bytes(3), _starts(data)),
    "spaces between the first segments": lambda data: _put(data, b"   ", _starts(data)[:3]),
    "fill bytes before all markers": lambda data: _put(
        data, b"\xff" * 5, _starts(data) + _restarts(data)
    ),
    "zeros and fill bytes": lambda data: _put(data, b"\0\0\0\xff\xff", _starts(data)),
    "zeros before one restart": lambda data: _put(data, bytes(4), _restarts(data)[3:4]),
    "zeros before every restart": lambda data: _put(data, bytes(2), _restarts(data)),
    "zeros behind the end": lambda data: data + bytes(1000),
    "a zip file behind the end": lambda data: data + b"PK\3\4" + bytes(range(256)) * 9,
    "a smaller JPEG behind the end": lambda data: data + encode("JPEG", _image().resize((40, 30))),
}


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("kind", CLEAN)
def test_surplus_bytes_change_nothing(kind: str, surplus: str) -> None:
    data = SURPLUS[surplus](CLEAN[kind])
    np.testing.assert_array_equal(decode(data).rgb, decode(CLEAN[kind]).rgb)
    stored = to_stored(data)
    np.testing.assert_array_equal(decode(stored.data).rgb, decode(CLEAN[kind]).rgb)
    if surplus.startswith("16") and stored.media_type == "image/jpeg":
        assert stored.data == to_stored(CLEAN[kind]).data


def test_a_file_without_surplus_stays_the_very_same() -> None:
    for kind, data in CLEAN.items():
        assert without_gaps(data) is data
        assert kind == "flat" or list(without_surplus(data)) == []


@pytest.mark.parametrize("kind", ["restarts", "flat", "rotated"])
def test_zeros_of_the_data_itself_are_kept(kind: str) -> None:
    """Some intervals end in zeros of their own, so that neither all nor a fixed share may go."""
    data = SURPLUS["zeros before every restart"](CLEAN[kind])
    np.testing.assert_array_equal(decode(data).rgb, decode(CLEAN[kind]).rgb)


def _scan(*intervals: bytes) -> bytes:
    """What only has the marks of a JPEG file: a scan of these intervals."""
    coded = intervals[0] + b"".join(
        bytes([0xFF, 0xD0 + number]) + interval for number, interval in enumerate(intervals[1:])
    )
    return b"\xff\xd8\xff\xda\0\3\0" + coded + b"\xff\xd9"


def test_which_forms_are_tried() -> None:
    """First none of the zeros; then what remains if a writer adds as many everywhere."""
    forms = list(without_surplus(_scan(b"\1\xff\0\0\0", b"\2\0\0\xff", b"\3\0\0\0", b"\4\0\0")))
    assert forms[0] == _scan(b"\1\xff\0", b"\2", b"\3", b"\4")
    assert forms[1] == _scan(b"\1\xff\0", b"\2", b"\3\0", b"\4")
    assert forms[2:] == [
        _scan(b"\1\xff\0\0\0", b"\2\0\0", b"\3", b"\4\0\0"),
        _scan(b"\1\xff\0\0", b"\2\0", b"\3\0", b"\4\0"),
        _scan(b"\1\xff\0\0\0", b"\2\0\0", b"\3\0\0", b"\4\0\0"),
        _scan(b"\1\xff\0\0\0", b"\2\0\0", b"\3\0\0\0", b"\4\0\0"),
    ]


def test_surplus_in_the_jpeg_of_a_dicom_file_is_dropped() -> None:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    files = [
        dicom(encapsulate([data]), JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422")
        for data in (CLEAN["plain"], SURPLUS["zeros between all segments"](CLEAN["plain"]))
    ]
    np.testing.assert_array_equal(decode(files[1]).rgb, decode(files[0]).rgb)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "zeros in place of the last data": lambda data: data[:-400] + bytes(398) + b"\xff\xd9",
    "more zeros than the lost data": lambda data: data[:-400] + bytes(4000) + b"\xff\xd9",
    "other data behind the scan": lambda data: data[:-2] + bytes(range(200)) * 2 + data[-2:],
    "the end lost": lambda data: data[:-2],
    "the end lost in zeros": lambda data: data[:-2] + bytes(500),
    "the middle lost": lambda data: data[: len(data) // 2] + data[len(data) // 2 + 300 :],
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["plain", "rotated", "cmyk", "grey"])
def test_damage_is_still_refused(kind: str, damage: str) -> None:
    with pytest.raises(ImageRefusedError, match="damaged_image"):
        to_stored(DAMAGE[damage](CLEAN[kind]))


def test_what_would_cost_much_is_not_walked_through() -> None:
    data = CLEAN["plain"]
    comments = data[:2] + b"\xff\xfe\0\2" * (MAX_SEGMENTS + 1) + data[2:]
    with pytest.raises(ImageRefusedError, match="too_costly"):
        to_stored(comments)
    intervals = b"\0\xff\xd1" * (MAX_INTERVALS + 1)
    assert list(without_surplus(data[:-2] + intervals + data[-2:])) == []


def test_a_lost_interval_is_refused() -> None:
    data = CLEAN["restarts"]
    first, second = _restarts(data)[4:6]
    for lost in (
        data[:first] + data[second:],
        data[: first + 2] + data[second:],
        data[: first + 2] + bytes(second - first - 2) + data[second:],
    ):
        with pytest.raises(ImageRefusedError, match="damaged_image"):
            to_stored(lost)


def test_a_pass_whose_marker_is_damaged_is_not_taken_for_surplus() -> None:
    data = CLEAN["progressive"]
    passes = [one for one in segments(data) if one.marker == 0xDA]
    for one in passes[1:]:
        with pytest.raises(ImageRefusedError, match="damaged_image"):
            to_stored(data[: one.start] + b"\0\0" + data[one.start + 2 :])


def test_a_jpeg_in_front_of_the_photograph_is_not_judged() -> None:
    small = encode("JPEG", _image().resize((80, 60)))
    for first, later in ((small, CLEAN["plain"]), (small, CLEAN["progressive"])):
        with pytest.raises(ImageRefusedError, match="reduced_picture"):
            decode(first + bytes(20) + later)
    preview_first = encode(
        "MPO", _image().resize((80, 60)), save_all=True, append_images=[_image()]
    )
    with pytest.raises(ImageRefusedError, match="reduced_picture"):
        decode(preview_first)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(CLEAN)), seed=st.integers(0, 2**32))
def test_zeros_anywhere_are_harmless_or_refused(kind: str, seed: int) -> None:
    """What is kept of a file decodes to the same as the file, wherever the zeros fell."""
    dice = random.Random(seed)
    data = _put(CLEAN[kind], bytes(dice.choice([1, 4, 300])), [dice.randrange(len(CLEAN[kind]))])
    with contextlib.suppress(ImageRefusedError):
        stored = to_stored(data)
        np.testing.assert_array_equal(decode(stored.data).rgb, decode(data).rgb)
