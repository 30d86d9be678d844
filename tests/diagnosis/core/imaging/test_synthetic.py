"""Drawn smears: repeatable, the same field at every size, and marked where the model looks not."""

from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging import synthetic
from diagnosis.core.imaging.preprocess import cover, resize
from diagnosis.core.imaging.synthetic import CAPTION, MARK, draw_smear
from export.config import COVERED

pytestmark = pytest.mark.xdist_group("synthetic")  # what has been drawn is drawn once


@cache
def drawn(seed: int, height: int = 768, width: int = 1024) -> NDArray[np.uint8]:
    """``draw_smear``, drawn once; nobody can change it."""
    field = draw_smear(seed, height, width)
    field.setflags(write=False)
    return field


def purple_share(pixels: NDArray[np.uint8]) -> float:
    red, green, blue = (pixels[..., channel].astype(int) for channel in range(3))
    return float(((red + blue) // 2 - green > 30).mean())


def test_one_seed_is_one_field() -> None:
    np.testing.assert_array_equal(draw_smear(1, 224, 224), drawn(1, 224, 224))
    assert np.abs(drawn(3, 224, 224).astype(int) - drawn(1, 224, 224)).mean() > 5


@pytest.mark.parametrize(("height", "width"), [(224, 224), (1, 1), (600, 300), (1944, 2592)])
def test_has_the_size_asked_for(height: int, width: int) -> None:
    field = drawn(3, height, width)
    assert field.shape == (height, width, 3)
    assert field.dtype == np.uint8


@pytest.mark.parametrize(("height", "width"), [(224, 224), (1944, 2592)])
def test_is_the_same_field_at_every_size(height: int, width: int) -> None:
    usual = resize(drawn(3), 96, 128).astype(float)
    other = resize(drawn(3, height, width), 96, 128).astype(float)
    assert np.corrcoef(usual.ravel(), other.ravel())[0, 1] > 0.99


def test_draws_as_many_nucleated_cells_as_asked() -> None:
    none, few, many = (
        purple_share(draw_smear(4, 224, 224, nucleated=count)) for count in (0, 3, 12)
    )
    assert none < 0.003  # platelets
    assert 0.01 < few < many


def test_slides_differ_in_stain_and_light() -> None:
    colours = np.array([np.median(drawn(s, 224, 224), axis=(0, 1)) for s in range(6)])
    assert (np.ptp(colours, axis=0)[:2] > 5).all()


@pytest.mark.parametrize(("height", "width"), [(224, 224), (768, 1024), (1944, 2592)])
def test_the_mark_lies_where_the_canonical_image_is_covered(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = resize(drawn(3, height, width), 224, 224)
    monkeypatch.setattr(synthetic, "_burn_mark", lambda field: None)
    bare = resize(draw_smear(3, height, width), 224, 224)
    assert np.abs(marked.astype(int) - bare).max() > 50
    np.testing.assert_array_equal(cover(marked, COVERED), cover(bare, COVERED))


def test_the_mark_is_dark_print_on_white() -> None:
    grey = cv2.cvtColor(drawn(3), cv2.COLOR_RGB2GRAY)[680:750, 745:1015]
    assert (grey > 240).mean() > 0.5
    assert (grey < 60).mean() > 0.05
    assert MARK == "SYNTHETIC"
    assert "Synthetic" in CAPTION
