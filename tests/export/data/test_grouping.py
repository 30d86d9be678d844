from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging.synthetic import draw_smear
from export.config import CLASS_LABELS
from export.data.dataset import labels_of, load_thumbnails, read_dataset
from export.data.grouping import (
    find_groups,
    hold_out,
    near_duplicates,
    perceptual_hashes,
    serial_neighbours,
    thumbnail,
)
from export.data.split import official_split
from export.errors import DataError

Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def drawn() -> list[Images]:
    """Twelve artificial fields, uint8 [300, 400, 3]."""
    return [draw_smear(200 + number, 300, 400) for number in range(12)]


def thumbnails(images: list[Images]) -> Images:
    return np.stack([thumbnail(image) for image in images])


def test_a_hash_has_as_many_bits_of_either_kind_and_outlasts_brightness_and_jpeg(
    drawn: list[Images],
) -> None:
    hashes = perceptual_hashes(thumbnails(drawn))
    assert hashes.shape == (12, 64)
    assert not hashes.sum(axis=1).any()
    darker = [(image * 0.8).astype(np.uint8) for image in drawn]
    coarse = [cv2.imdecode(cv2.imencode(".jpg", i, [1, 30])[1], cv2.IMREAD_COLOR) for i in darker]
    agreement = hashes @ perceptual_hashes(thumbnails(coarse)).T
    assert (np.diag(agreement) >= 64 - 2 * 4).all()
    assert (agreement[~np.eye(12, dtype=bool)] < 64 - 2 * 10).all()


def test_a_hash_outlasts_light_that_falls_off_to_one_side(drawn: list[Images]) -> None:
    field = thumbnails(drawn)[0] // 2
    slope = np.linspace(0, 120, 64).astype(np.uint8)
    lit = np.stack([field, field + slope, field + slope[:, np.newaxis]])
    even, across, down = perceptual_hashes(lit)
    assert min(even @ across, even @ down) >= 64 - 2 * 2


def test_different_fields_are_no_near_duplicates(drawn: list[Images]) -> None:
    assert near_duplicates(thumbnails(drawn)) == []


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 50), (37, 0), (-37, 50), (20, -30)])
def test_a_field_shifted_by_up_to_an_eighth_is_a_near_duplicate(
    drawn: list[Images], rows: int, columns: int
) -> None:
    shifted = np.roll(drawn[3], (rows, columns), axis=(0, 1))
    assert near_duplicates(thumbnails([*drawn, shifted])) == [(3, 12)]


def test_a_near_hash_without_a_likeness_is_no_near_duplicate(
    drawn: list[Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.data.grouping.HASH_LIMIT", 64)
    assert near_duplicates(thumbnails(drawn)) == []


def test_many_fields_are_compared_in_parts(drawn: list[Images]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1100, 64, 64), np.uint8)
    few = thumbnails([drawn[0], drawn[1]])
    assert near_duplicates(np.concatenate([noise, few, few])) == [(1100, 1102), (1101, 1103)]


def test_serial_runs_are_blocks_of_37_numbers_within_class_and_name() -> None:
    names = [f"{slide}-{number:03d}" for slide in "ab" for number in range(100)]
    labels = np.repeat([0, 1], len(names))
    runs: dict[int, set[int]] = {}
    for first, other in serial_neighbours(labels, names * 2):
        runs.setdefault(first, {first}).add(other)
    expected = [
        set(range(start + low, start + high))
        for start in (0, 100, 200, 300)
        for low, high in ((0, 37), (37, 74), (74, 100))
    ]
    assert list(runs.values()) == expected


def test_small_classes_get_shorter_runs_and_unnumbered_names_none() -> None:
    labels = np.zeros(10, np.int64)
    assert serial_neighbours(labels, [f"{number}" for number in range(10)]) == [
        (0, 1),
        (2, 3),
        (4, 5),
        (6, 7),
        (8, 9),
    ]
    assert serial_neighbours(labels, ["smear"] * 10) == []


def test_groups_join_near_duplicates_and_serial_runs(drawn: list[Images]) -> None:
    labels = np.array([0] * 10 + [1] * 2)
    stems = [f"{number}" for number in range(10)] + ["x", "y"]
    images = [*drawn[:9], np.roll(drawn[2], 30, axis=1), *drawn[10:]]  # field 9 shows field 2
    groups = find_groups(thumbnails(images), labels, stems)
    assert groups == [
        *["Benign-F000"] * 2,
        *["Benign-F001"] * 2,
        *["Benign-F002"] * 2,
        *["Benign-F003"] * 2,
        *["Benign-F001"] * 2,
        "Early-F004",
        "Early-F005",
    ]


def test_near_duplicates_under_two_classes_share_a_group(drawn: list[Images]) -> None:
    images = [drawn[0], drawn[1], np.roll(drawn[0], 30, axis=1)]
    groups = find_groups(thumbnails(images), np.array([0, 1, 3]), ["a", "b", "c"])
    assert groups == ["Benign-F000", "Early-F001", "Benign-F000"]


def test_a_fifth_of_every_class_is_held_out_in_whole_groups() -> None:
    labels = np.repeat(np.arange(4), 100)
    # Ten groups of five fields a class, and one of fifty.
    groups = np.array([f"{n}-{min(i // 5, 10)}" for n in range(4) for i in range(100)])
    held_out = hold_out(labels, groups)
    assert np.bincount(labels[held_out]).tolist() == [20] * 4
    assert not set(groups[held_out]) & set(groups[~held_out])
    assert "0-10" not in groups[held_out]
    # Nor do those held out all come from one end of the numbering.
    assert set(groups[held_out & (labels == 0)]) != {"0-0", "0-1", "0-2", "0-3"}
    assert (held_out == hold_out(labels, groups)).all()


def test_a_class_of_two_groups_has_the_smaller_one_held_out() -> None:
    labels = np.repeat(np.arange(4), 7)
    held_out = hold_out(labels, [f"{label}{i > 3}" for label in range(4) for i in range(7)])
    assert held_out.tolist() == [i > 3 for i in range(7)] * 4


def test_a_group_of_two_classes_is_held_out_whole_or_not_at_all() -> None:
    labels = np.repeat(np.arange(4), 6)
    groups = [f"{label}{i // 2}" for label in range(4) for i in range(6)]
    groups[0] = groups[23] = "both"
    held_out = hold_out(labels, groups)
    assert held_out[0] == held_out[23]


def test_a_class_of_one_group_cannot_be_split() -> None:
    labels = np.repeat(np.arange(4), 5)
    groups = [f"{label}{i if label != 2 else 0}" for label in range(4) for i in range(5)]
    with pytest.raises(DataError, match=r"The 5 images of class Pre form 1 group.*groups\.csv"):
        hold_out(labels, groups)


@pytest.mark.data
def test_groups_found_in_the_real_set_agree_with_those_given(
    data_dir: Path, tmp_path: Path
) -> None:
    for name in CLASS_LABELS:
        (tmp_path / name).symlink_to((data_dir / "all_smears" / name).resolve())
    given = read_dataset(data_dir)
    found = read_dataset(tmp_path)
    assert (found.grouping, found.duplicates) == ("found", given.duplicates)
    _, calibration = official_split(found.fields)
    assert 0.15 < len(calibration) / len(found.fields) < 0.25
    assert np.bincount(labels_of(calibration), minlength=4).min() > 50

    found_group = {field.sha256: field.group for field in found.fields}
    ours = np.array([found_group[field.sha256] for field in given.fields])
    theirs = np.array([field.group for field in given.fields])
    pairs = near_duplicates(load_thumbnails([field.path for field in given.fields]))
    sharing = [(i, j) for i, j in pairs if theirs[i] == theirs[j]]
    assert len(sharing) == len(pairs) >= 110
    assert np.mean([ours[i] == ours[j] for i, j in sharing]) >= 0.99

    together = ours[:, None] == ours
    rightly = together & (theirs[:, None] == theirs)
    assert rightly.sum() == together.sum()  # no group found spans two given ones
    assert rightly.sum() > 0.6 * (theirs[:, None] == theirs).sum()
