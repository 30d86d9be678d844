import shutil
from pathlib import Path

import numpy as np
import pytest

from export.dataset import data_digest, labels_of, load_canonical, read_fields, source_files
from export.errors import DataError
from export.split import check_disjoint, group_folds, official_split

from .conftest import Rows, write_table

SmallSet = tuple[Path, Rows]


@pytest.fixture
def folder(small_set: SmallSet, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(small_set[0], tmp_path / "data")
    return tmp_path / "data"


def test_labels_follow_the_contract_and_duplicates_are_dropped(
    small_set: SmallSet, folder: Path
) -> None:
    rows = [dict(row) for row in small_set[1]]
    rows[1]["exact_dup_of"] = rows[0]["file"]
    write_table(folder, rows)
    fields = read_fields(folder)
    assert len(fields) == len(rows) - 1
    assert all(not field.path.match("Benign/1.png") for field in fields)
    assert list(labels_of(fields)) == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]


def test_a_group_on_both_sides_is_an_error(small_set: SmallSet, folder: Path) -> None:
    rows = [dict(row) for row in small_set[1]]
    rows[2]["group"] = rows[0]["group"]
    write_table(folder, rows)
    with pytest.raises(DataError, match=r"Leakage: group Benign-train .*two sides"):
        official_split(read_fields(folder))


def test_the_same_content_on_both_sides_is_an_error(small_set: SmallSet, folder: Path) -> None:
    rows = [dict(row) for row in small_set[1]]
    rows[2]["sha256"] = rows[0]["sha256"]
    write_table(folder, rows)
    with pytest.raises(DataError, match="Leakage: content"):
        official_split(read_fields(folder))


def test_a_missing_table_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="set DATA_DIR or --data"):
        read_fields(tmp_path)


def test_a_malformed_row_is_named(small_set: SmallSet, folder: Path) -> None:
    rows = [dict(row) for row in small_set[1]]
    rows[3]["class"] = "Basophil"
    write_table(folder, rows)
    with pytest.raises(DataError, match="Basophil"):
        read_fields(folder)


def test_a_damaged_file_is_named(folder: Path) -> None:
    fields = read_fields(folder)
    whole = fields[5].path.read_bytes()
    fields[5].path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"Early/1\.png cannot be used"):
        load_canonical([field.path for field in fields])


def test_canonical_pixels_of_a_file_already_square_are_its_own(folder: Path) -> None:
    from PIL import Image

    path = read_fields(folder)[0].path
    (canonical,) = load_canonical([path])
    assert np.array_equal(canonical, np.asarray(Image.open(path)))


def test_digest_depends_on_the_files_and_not_on_their_order(folder: Path) -> None:
    fields = read_fields(folder)
    assert data_digest(fields) == data_digest(fields[::-1])
    assert data_digest(fields) != data_digest(fields[1:])


def test_an_empty_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image"):
        source_files(tmp_path, "other_lab", "bccd")


def test_folds_hold_every_field_once_and_no_group_twice(folder: Path) -> None:
    fields = read_fields(folder)
    parts = group_folds(fields, 2)
    assert sorted(str(f.path) for part in parts for f in part) == sorted(
        str(f.path) for f in fields
    )
    assert not {f.group for f in parts[0]} & {f.group for f in parts[1]}
    assert [np.bincount(labels_of(part)).tolist() for part in parts] == [[2] * 4] * 2
    with pytest.raises(DataError, match="too few for 3 folds"):
        group_folds(fields, 3)


@pytest.mark.data
def test_the_real_set_has_no_leakage_and_no_duplicate(data_dir: Path) -> None:
    fields = read_fields(data_dir)
    train, calibration = official_split(fields)
    assert (len(train), len(calibration)) == (2026, 498)
    assert len({field.sha256 for field in fields}) == len(fields)
    assert len({f.group for f in calibration}) == 14
    parts = group_folds(fields, 3)
    check_disjoint(parts)
    assert all(len(np.unique(labels_of(part))) == 4 for part in parts)
