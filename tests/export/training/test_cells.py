import colorsys

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging.synthetic import draw_smear
from export.evaluation.shortcuts import paint_over_cells
from export.training.augment import fill_corner
from export.training.cells import (
    FLAT,
    OFFSETS,
    RULES,
    SPREAD,
    CellAttention,
    HideBackground,
    StandardiseCells,
    hide_background,
    visible_cells,
)
from export.training.train import normalise


@pytest.fixture(scope="module")
def fields() -> NDArray[np.uint8]:
    return np.stack([draw_smear(seed, 224, 224) for seed in range(4)])


def test_the_layer_hides_exactly_what_the_mask_does_not_show(fields: NDArray[np.uint8]) -> None:
    """Fields and noise of every colour: the rule stands twice and has to be one."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8)
    smooth = np.stack([keras.ops.image.resize(n[:28, :28], (224, 224)) for n in noise])
    for images in (fields, smooth.astype(np.uint8)):
        cells = np.stack([visible_cells(image) for image in images])
        assert 0 < cells.mean() < 1
        hidden = np.asarray(HideBackground("hidden")(normalise(images)))
        np.testing.assert_array_equal(hidden, hide_background(normalise(images), cells))


def test_hue_and_saturation_are_those_of_the_audit() -> None:
    """The sums against hue computed the usual way, on every fourth level of each channel."""
    levels = np.arange(0, 256, 4)
    rgb = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    red, green, blue = rgb.T
    hue = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in rgb / 255]) * 360
    saturated = (red + blue) / 2 - green > 22
    clear = saturated & ((np.abs(hue - 234) > 0.01) & (np.abs(hue - 359) > 0.01))
    purple = (rgb @ RULES.T + OFFSETS).min(axis=1) >= 1
    assert clear.sum() > 50_000
    np.testing.assert_array_equal(purple[clear], (hue[clear] >= 234) & (hue[clear] < 359))
    assert not purple[~saturated].any()


@pytest.mark.parametrize(
    ("colour", "seen"),
    [
        ((150, 90, 200), True),  # violet
        ((200, 90, 150), True),  # magenta
        ((200, 110, 115), True),  # pink
        ((200, 115, 110), False),  # red: less blue than green
        ((90, 110, 200), False),  # blue
        ((122, 100, 122), False),  # (R + B)/2 − G = 22, not above
        ((123, 100, 122), True),
        ((230, 228, 240), False),  # glass
    ],
)
def test_a_cell_is_what_is_purple(colour: tuple[int, int, int], seen: bool) -> None:
    field = np.full((32, 32, 3), (230, 228, 240), np.uint8)
    field[10:20, 10:20] = colour
    assert bool(visible_cells(field).any()) is seen


def test_a_rim_of_two_pixels_is_shown_and_specks_are_not() -> None:
    field = np.full((40, 40, 3), (230, 228, 240), np.uint8)
    field[10:20, 10:20] = (150, 90, 200)
    field[30:34, 30:34] = (150, 90, 200)  # 4 pixels across: a platelet
    expected = np.zeros((40, 40), np.uint8)
    expected[8:22, 8:22] = 1
    np.testing.assert_array_equal(visible_cells(field), expected)


def test_nothing_is_left_of_a_painted_field(fields: NDArray[np.uint8]) -> None:
    for field in fields:
        assert visible_cells(field).any()
        assert not visible_cells(paint_over_cells(field)).any()


def test_standardised_cells_do_not_tell_lamp_nor_exposure(fields: NDArray[np.uint8]) -> None:
    cells = np.stack([visible_cells(field) for field in fields])
    gains, offset = np.array([0.7, 0.6, 0.8], np.float32), np.float32(0.1)
    standardise = StandardiseCells("standardised")
    plain = hide_background(normalise(fields), cells)
    cast = hide_background((normalise(fields) * gains + offset).astype(np.float32), cells)
    answers = np.asarray(standardise(plain)), np.asarray(standardise(cast))
    np.testing.assert_allclose(answers[0], answers[1], atol=0.1)  # FLAT takes a little away
    shown = cells[0].astype(bool)
    assert np.abs(answers[0][0][shown].mean(axis=0)).max() < 1e-4
    before = plain[0][shown][:, :3].std(axis=0)
    after = answers[0][0][shown].std(axis=0)
    np.testing.assert_allclose(after, SPREAD * before / (before + FLAT), rtol=1e-3)
    assert not answers[0][0][~shown].any()


def test_a_field_without_cells_stays_empty() -> None:
    empty = np.zeros((1, 32, 32, 4), np.float32)
    assert not np.asarray(StandardiseCells("standardised")(empty)).any()


def test_attention_is_shared_among_the_cells() -> None:
    hidden = np.zeros((2, 64, 64, 4), np.float32)
    hidden[0, :16, :16, 3] = 1
    hidden[0, 16:24, 16:32, 3] = 1  # half a place
    features = np.zeros((2, 4, 4, 8), np.float32)
    attention = np.asarray(CellAttention("attention")(hidden, features))[..., 0]
    assert attention[0, 0, 0] == pytest.approx(2 / 3)
    assert attention[0, 1, 1] == pytest.approx(1 / 3)
    assert attention.sum() == pytest.approx(1)  # and nothing in the second field, without cells


def test_the_network_answers_the_same_whatever_the_background(
    fields: NDArray[np.uint8],
) -> None:
    from export.training import architectures

    model = architectures.build("cell_cnn", 0)
    field = fill_corner(fields[0])
    other = field.copy()
    other[visible_cells(field) == 0] = (201, 214, 190)
    answers = np.asarray(model(normalise(np.stack([field, other, fields[1]]))))
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    assert np.abs(answers[2] - answers[0]).max() > 1e-3


@pytest.mark.data
def test_every_real_field_has_cells_and_no_painted_one_has(data_dir: object) -> None:
    from pathlib import Path

    from export.data.dataset import load_canonical, read_fields

    fields = read_fields(Path(str(data_dir)))[::10]
    for image in load_canonical([field.path for field in fields]):
        assert visible_cells(fill_corner(image)).mean() > 0.005
        assert not visible_cells(paint_over_cells(image)).any()
