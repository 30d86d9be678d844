"""Samples of 16 bits come out as their eight upper ones, or with the reason why not."""

from functools import cache, partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode, to_stored
from tests.diagnosis.made.pictures import drawn
from tests.diagnosis.made.tiff_files import SHORT, Page, tiff

smear = partial(drawn, 3, 120, 160)
OPAQUE = np.full((120, 160, 1), 65_535, np.uint16)


@cache
def _sixteen() -> NDArray[np.uint16]:
    """The same picture in 16 bits, none of whose samples is the middle of its eight bits."""
    lower = np.random.default_rng(1).integers(-128, 129, smear().shape)
    return np.clip(smear().astype(np.int32) * 257 + lower, 0, 65_535).astype(np.uint16)


def _cv(kind: str, pixels: NDArray[np.uint16]) -> bytes:
    return cv2.imencode(kind, pixels)[1].tobytes()


def _bgr(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.ascontiguousarray(pixels[..., ::-1])


CODINGS = {
    "png": lambda pixels: _cv(".png", _bgr(pixels)),
    "png with alpha": lambda pixels: _cv(".png", np.dstack([_bgr(pixels), OPAQUE])),
    "tiff": lambda pixels: tiff(Page(pixels)),
    "big-endian tiff": lambda pixels: tiff(Page(pixels), order=">"),
    "big tiff": lambda pixels: tiff(Page(pixels), big=True),
    "tiff with alpha": lambda pixels: tiff(
        Page(np.dstack([pixels, OPAQUE]), {262: (SHORT, [2]), 338: (SHORT, [2])})
    ),
    "tiff with a fourth sample": lambda pixels: tiff(
        Page(np.dstack([pixels, OPAQUE]), {262: (SHORT, [2]), 338: (SHORT, [0])})
    ),
    "lzw tiff": lambda pixels: _cv(".tiff", _bgr(pixels)),
}
GREY = {
    "grey png": lambda pixels: _cv(".png", pixels[..., 1]),
    "grey tiff": lambda pixels: tiff(Page(np.ascontiguousarray(pixels[..., 1]))),
    "big-endian grey tiff": lambda pixels: tiff(
        Page(np.ascontiguousarray(pixels[..., 1])), order=">"
    ),
}


@pytest.mark.parametrize("kind", CODINGS)
def test_colours_become_eight_bits_by_division_not_by_cutting(kind: str) -> None:
    np.testing.assert_array_equal(decode(CODINGS[kind](_sixteen())).rgb, smear())


@pytest.mark.parametrize("kind", GREY)
def test_grey_becomes_eight_bits_by_division(kind: str) -> None:
    expected = np.repeat(smear()[..., 1:2], 3, axis=2)
    np.testing.assert_array_equal(decode(GREY[kind](_sixteen())).rgb, expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("kind", [*CODINGS, *GREY])
def test_samples_that_nobody_scaled_are_named_and_no_lamp_is_blamed(kind: str, bits: int) -> None:
    data = (CODINGS | GREY)[kind](_sixteen() >> (16 - bits))
    with pytest.raises(ImageRefusedError, match=rf"sample_depth: .*at most {bits} bits") as caught:
        to_stored(data)
    assert "lamp" not in caught.value.fix


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", [*CODINGS, *GREY])
def test_samples_in_the_upper_bits_are_a_picture_like_any_other(kind: str, bits: int) -> None:
    lower = 16 - bits
    rgb = decode((CODINGS | GREY)[kind](_sixteen() >> lower << lower)).rgb
    expected = smear() if kind in CODINGS else smear()[..., 1:2]
    assert np.abs(rgb.astype(int) - expected).max() <= 1


def test_black_is_a_matter_of_light() -> None:
    """Nothing says that its samples have fewer bits; the checks of the field answer it."""
    for kind, coded in (CODINGS | GREY).items():
        assert decode(coded(np.zeros_like(_sixteen()))).rgb.max() == 0, kind
