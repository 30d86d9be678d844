import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging.synthetic import draw_smear
from export.config import COVERED
from export.training.augment import augment, fill_corner, generator, patch, random_window

BOX = np.s_[COVERED.top : COVERED.bottom, COVERED.left : COVERED.right]


@pytest.fixture(scope="module")
def field() -> NDArray[np.uint8]:
    return draw_smear(3, 224, 224)


def test_same_seed_epoch_and_index_give_the_same_pixels(field: NDArray[np.uint8]) -> None:
    filled = fill_corner(field)
    first = augment(filled, generator(1, 2, 3))
    assert np.array_equal(first, augment(filled, generator(1, 2, 3)))
    for other in ((9, 2, 3), (1, 9, 3), (1, 2, 9)):
        assert not np.array_equal(first, augment(filled, generator(*other)))


def test_every_variation_is_covered_as_serving_covers(field: NDArray[np.uint8]) -> None:
    filled = fill_corner(field)
    for index in range(200):
        varied = augment(filled, generator(0, 0, index))
        assert varied.dtype == np.uint8
        assert varied.shape == (224, 224, 3)
        assert (varied[BOX] == COVERED.fill).all()


def test_what_stood_in_the_corner_never_reaches_the_network(field: NDArray[np.uint8]) -> None:
    """Neither a scale bar nor the grey box moves with a flip or a rotation."""
    marked = field.copy()
    marked[BOX] = (255, 0, 0)
    blank = field.copy()
    blank[BOX] = (0, 255, 0)
    for index in range(50):
        rng = [generator(0, 1, index) for _ in range(2)]
        assert np.array_equal(
            augment(fill_corner(marked), rng[0]), augment(fill_corner(blank), rng[1])
        )


def test_fill_corner_paints_the_corner_alone_and_leaves_its_input(
    field: NDArray[np.uint8],
) -> None:
    before = field.copy()
    filled = fill_corner(field)
    assert np.array_equal(field, before)
    outside = np.ones((224, 224), bool)
    outside[BOX] = False
    assert np.array_equal(filled[outside], field[outside])
    assert len(np.unique(filled[BOX].reshape(-1, 3), axis=0)) == 1


def test_variations_stay_pictures_of_the_field(field: NDArray[np.uint8]) -> None:
    """Strong jitter, but no washed-out or black output."""
    filled = fill_corner(field)
    deviations = [augment(filled, generator(0, 2, i))[:190].std() for i in range(100)]
    assert min(deviations) > 10


def test_a_patch_is_one_rectangle_of_the_other_field() -> None:
    ours = np.zeros((224, 224, 3), np.uint8)
    theirs = np.full((224, 224, 3), 255, np.uint8)
    places = set()
    for index in range(30):
        mixed = patch(ours, theirs, generator(0, 3, index))
        rows, columns = np.nonzero(mixed[..., 0])
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width  # one filled rectangle
        assert 67 <= height <= 156
        assert 67 <= width <= 156
        places.add((rows[0], columns[0]))
    assert len(places) == 30
    assert not ours.any()


def test_a_random_window_is_a_part_of_the_field_and_reaches_every_edge(
    field: NDArray[np.uint8],
) -> None:
    rows, columns = np.mgrid[:224, :224].astype(np.uint8)
    numbered = np.dstack([rows, columns, field[..., 0]])
    corners = set()
    for index in range(400):
        window = random_window(numbered, 216, generator(0, 0, index))
        top, left = (int(x) for x in window[0, 0, :2])
        assert np.array_equal(window, numbered[top : top + 216, left : left + 216])
        assert window.shape == (216, 216, 3)
        corners.add((top, left))
    assert {top for top, _ in corners} == {left for _, left in corners} == set(range(9))
    assert np.array_equal(random_window(field, 224, generator(0, 0, 0)), field)
