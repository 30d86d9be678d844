import cv2
import numpy as np
import pytest

from diagnosis.imaging.synthetic import draw_smear
from export.audit import ALTERATIONS, paint_over_cells


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
