from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.imaging.preprocess import cover
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.base import Prediction
from export.config import COVERED
from export.data.dataset import Field
from export.evaluation.shortcuts import (
    ALTERATIONS,
    OTHER_BACKGROUND,
    PAINTED_OVER,
    audit,
    nucleated_mask,
    paint_over_cells,
    partners_of,
    paste_cells,
    shift_stain,
)
from export.training.augment import STAINS
from export.training.cells import hide_background, visible_cells

CORNER = next(name for name in ALTERATIONS if "corner" in name)
GLASS = [(200, 200, 200), (210, 210, 210), (220, 220, 220), (230, 230, 230)]  # of each class
NUCLEI = [(110, 60, 170), (120, 60, 170), (130, 60, 170), (140, 60, 170)]
BOUNDS = SimpleNamespace(labels=LABELS, ood_max=1.0, suspicious_min=0.5, not_suspicious_max=0.1)


def test_purple_cells_are_painted_over_and_nothing_else() -> None:
    field = np.full((224, 224, 3), (230, 228, 240), np.uint8)
    cv2.circle(field, (60, 60), 12, (190, 170, 160), -1)  # a red cell, pinkish grey
    cv2.circle(field, (150, 100), 14, (110, 60, 170), -1)  # a nucleated cell
    cv2.circle(field, (60, 160), 14, (190, 150, 210), -1)  # a pale one
    cv2.circle(field, (160, 180), 12, (100, 120, 200), -1)  # blue, not purple
    painted = paint_over_cells(field)
    assert (painted[160, 60] == (230, 228, 240)).all()
    assert (painted[180, 160] == (100, 120, 200)).all()
    assert (painted[100, 150] == (230, 228, 240)).all()
    assert (painted[60, 60] == (190, 170, 160)).all()
    changed = (painted != field).any(axis=2)
    assert changed.sum() == pytest.approx(2 * np.pi * 14**2, rel=0.1)
    mask = nucleated_mask(field)
    assert not mask[~changed].any()  # opening takes a few pixels off each cell's border
    assert mask.sum() == pytest.approx(changed.sum(), rel=0.02)


def test_a_rim_of_seven_pixels_is_painted_over_as_well() -> None:
    field = np.full((224, 224, 3), (230, 228, 240), np.uint8)
    field[100:120, 100:120] = (110, 60, 170)
    field[110, 120:128] = (0, 0, 0)
    painted = paint_over_cells(field)
    assert [column for column in range(120, 128) if painted[110, column].any()] == [
        *range(120, 127)
    ]


def test_a_field_without_purple_stays_as_it_is() -> None:
    field = np.full((224, 224, 3), (230, 228, 220), np.uint8)
    assert np.array_equal(paint_over_cells(field), field)


def test_alterations_keep_shape_and_leave_their_input() -> None:
    field = draw_smear(5, 224, 224)
    before = field.copy()
    for name, alter in ALTERATIONS.items():
        altered = alter(field)
        assert (altered.shape, altered.dtype) == (field.shape, np.uint8), name
        assert not np.array_equal(altered, field), name
    assert np.array_equal(field, before)


def test_nothing_of_the_covered_corner_gets_through_and_one_colour_of_the_rest() -> None:
    field = draw_smear(5, 224, 224)
    other = field.copy()
    other[COVERED.top :, COVERED.left :] = (9, 99, 199)
    shown = cover(ALTERATIONS[CORNER](field), COVERED)
    assert np.array_equal(shown, cover(ALTERATIONS[CORNER](other), COVERED))
    rest = np.delete(shown.reshape(-1, 3), np.flatnonzero((shown == 128).all(axis=2)), axis=0)
    assert (rest == rest[0]).all()


def test_the_stain_shift_multiplies_densities_along_its_axes() -> None:
    amounts = np.array([[0.5, 0.2, 0.1]])
    rgb = np.rint(np.exp(-amounts @ STAINS) * 256 - 1).astype(np.uint8)
    shifted = shift_stain(rgb, haematoxylin=1.25, eosin=0.8)
    found = -np.log((shifted + 1.0) / 256) @ np.linalg.inv(STAINS)
    assert found == pytest.approx(amounts * (1.25, 0.8, 1), abs=0.02)
    field = draw_smear(5, 224, 224)
    assert np.array_equal(shift_stain(field, 1, 1), field)


def test_each_field_borrows_the_background_of_the_next_class() -> None:
    partners = partners_of(np.array([2, 0, 0, 0, 1, 2]))
    assert partners.tolist() == [1, 4, 4, 4, 0, 2]


@pytest.mark.parametrize("seed", range(4))
def test_pasted_cells_are_all_that_a_network_of_cells_alone_sees(seed: int) -> None:
    field, other = draw_smear(seed, 224, 224), draw_smear(seed + 20, 224, 224)
    pasted = paste_cells(field, other)
    seen = [
        hide_background(image.astype(np.float32), visible_cells(image)) for image in (field, pasted)
    ]
    assert seen[0].any()
    assert np.array_equal(*seen)
    kept = np.isclose(pasted, paint_over_cells(other)).all(axis=2).mean()
    assert 0.5 < kept < 1


class Reader:
    """Tells the class by one pixel; strange to it is a colour it does not know."""

    contract = BOUNDS

    def __init__(self, row: int, column: int, colours: list[tuple[int, int, int]]) -> None:
        self._pixel, self._colours = (row, column), colours

    def predict(self, images: np.ndarray) -> list[Prediction]:
        return [self._judge(tuple(map(int, image[self._pixel]))) for image in images]

    def _judge(self, colour: tuple[int, ...]) -> Prediction:
        known = colour in self._colours
        answer = self._colours.index(colour) if known else 0
        return Prediction(tuple(float(i == answer) for i in range(4)), 0.5 if known else 2.0)


@pytest.fixture
def fields(tmp_path: Path) -> list[Field]:
    """Two fields a class, whose glass and nuclei both tell the class."""
    made = []
    for label in range(4):
        for number in range(2):
            pixels = np.full((224, 224, 3), GLASS[label], np.uint8)
            cv2.circle(pixels, (60, 60), 14, NUCLEI[label], -1)
            path = tmp_path / f"{label}-{number}.png"
            Image.fromarray(pixels).save(path)
            made.append(Field(path, label, f"group-{label}", "calibration", path.name))
    return made


def test_a_network_that_reads_the_background_is_found_out(fields: list[Field]) -> None:
    report = audit(fields, Reader(10, 10, GLASS))  # type: ignore[arg-type]
    assert report[PAINTED_OVER]["balanced_accuracy"] == 1
    assert report[PAINTED_OVER]["confident"]["successes"] == 8
    moved = report[OTHER_BACKGROUND]
    assert (moved["accuracy"]["value"], moved["follows_background"]["value"]) == (0, 1)
    assert report[CORNER]["balanced_accuracy"] == 1  # the median colour tells it all here


def test_a_network_that_reads_cells_follows_them(fields: list[Field]) -> None:
    report = audit(fields, Reader(60, 60, NUCLEI))  # type: ignore[arg-type]
    assert report[PAINTED_OVER]["balanced_accuracy"] == 0.25
    assert report[PAINTED_OVER]["confident"]["value"] == 0
    assert report[PAINTED_OVER]["confident_share"] == 0
    moved = report[OTHER_BACKGROUND]
    assert (moved["accuracy"]["value"], moved["follows_background"]["value"]) == (1, 0)
    assert (moved["confident"]["successes"], moved["confident"]["groups"]) == (8, 4)
    assert set(report) == {*ALTERATIONS, OTHER_BACKGROUND}
