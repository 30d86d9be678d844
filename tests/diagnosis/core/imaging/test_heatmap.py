"""Activation maps as pictures: where, how strong, and in which shape."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging.heatmap import COLOUR, LONGEST_SIDE, STRONGEST, heat_map


def drawn(activation: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    data = np.frombuffer(heat_map(activation, width, height), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture  # type: ignore[return-value]


def one_place(row: int, column: int) -> NDArray[np.float32]:
    activation = np.zeros((7, 7), np.float32)
    activation[row, column] = 1
    return activation


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (768, 1024), (2592, 1944), (60, 60)])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 3), (2, 5), (6, 6)])
def test_a_place_lies_in_its_seventh_of_the_photograph(
    width: int, height: int, row: int, column: int
) -> None:
    alpha = drawn(one_place(row, column), width, height)[..., 3].astype(float)
    rows, columns = np.indices(alpha.shape)
    middle = (alpha * rows).sum() / alpha.sum(), (alpha * columns).sum() / alpha.sum()
    expected = (row + 0.5) / 7 * alpha.shape[0], (column + 0.5) / 7 * alpha.shape[1]
    # At the rim half of the blur falls outside; the rest must still be nearest to its place.
    assert np.abs(np.subtract(middle, expected)).max() < max(alpha.shape) / 14


def test_it_has_the_shape_of_the_photograph() -> None:
    assert drawn(one_place(3, 3), 1024, 768).shape == (168, LONGEST_SIDE, 4)
    assert drawn(one_place(3, 3), 300, 1200).shape == (LONGEST_SIDE, 56, 4)


def test_nothing_is_transparent_and_more_is_more_opaque_in_one_colour() -> None:
    ramp = np.tile(np.linspace(0, 1, 7, dtype=np.float32), (7, 1))
    picture = drawn(ramp, 700, 700)
    alpha = picture[112, ..., 3].astype(int)
    assert not drawn(np.zeros((7, 7), np.float32), 700, 700)[..., 3].any()
    assert alpha[0] < 10
    assert alpha[-1] == STRONGEST
    assert (np.diff(alpha) >= -1).all(), "smooth, without steps back"
    assert np.diff(alpha).max() <= 4, "no edge that could be taken for a cell's"
    assert (picture[alpha.nonzero()[0][0] :, :, :3][..., ::-1] == COLOUR).all()


def test_smoothing_never_leaves_the_scale() -> None:
    checkers = np.indices((7, 7)).sum(0) % 2
    alpha = drawn(checkers.astype(np.float32), 1024, 768)[..., 3]
    assert alpha.max() <= STRONGEST
