import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export.config import CLASS_LABELS
from export.data.dataset import (
    Field,
    data_digest,
    labels_of,
    load_canonical,
    read_dataset,
    read_fields,
    source_files,
)
from export.data.split import (
    check_disjoint,
    describe,
    group_folds,
    leaky_random_split,
    near_duplicates_across,
    official_split,
)
from export.errors import DataError
from tests.export.conftest import Rows, write_table

SmallSet = tuple[Path, Rows]


@pytest.fixture
def folder(small_set: SmallSet, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(small_set[0] / "all_smears", tmp_path / "data/all_smears")
    return tmp_path / "data"


@pytest.fixture
def images(folder: Path) -> Path:
    """The class folders of that copy, without a table beside them."""
    (folder / "all_smears/groups.csv").unlink()
    return folder / "all_smears"


@pytest.fixture
def rows(small_set: SmallSet) -> Rows:
    """The table of that copy, to be changed and written again."""
    return [dict(row) for row in small_set[1]]


def replace(folder: Path, row: dict[str, str], content: bytes) -> None:
    """Give a listed file other content, and its row the sha256 of that."""
    (folder / "all_smears" / row["file"]).write_bytes(content)
    row["sha256"] = sha256(content).hexdigest()


def content_of(folder: Path, row: dict[str, str]) -> bytes:
    return (folder / "all_smears" / row["file"]).read_bytes()


def test_labels_follow_the_contract_and_marked_duplicates_are_dropped(
    rows: Rows, folder: Path
) -> None:
    rows[1]["exact_dup_of"] = rows[0]["file"]
    write_table(folder, rows)
    dataset = read_dataset(folder)
    assert [str(f.path.relative_to(folder / "all_smears")) for f in dataset.fields] == [
        row["file"] for row in (rows[0], *rows[2:])
    ]
    assert list(labels_of(dataset.fields)) == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert (dataset.duplicates, dataset.grouping) == (1, "given")


def test_fields_keep_the_order_of_the_table(rows: Rows, folder: Path) -> None:
    write_table(folder, rows[::-1])
    assert [field.sha256 for field in read_fields(folder)] == [row["sha256"] for row in rows[::-1]]


def test_a_folder_of_class_folders_is_read_like_one_that_holds_all_smears(folder: Path) -> None:
    assert read_fields(folder / "all_smears") == read_fields(folder)


def test_folders_and_classes_may_have_the_labels_of_the_contract(rows: Rows, folder: Path) -> None:
    label_of = {field.sha256: field.label for field in read_fields(folder)}
    for row in rows:
        label = CLASS_LABELS[row["class"]]
        row["file"] = row["file"].replace(row["class"], label)
        row["class"] = label
    for name, label in CLASS_LABELS.items():
        (folder / "all_smears" / name).rename(folder / "all_smears" / label)
    write_table(folder, rows)
    assert {field.sha256: field.label for field in read_fields(folder)} == label_of


def test_a_group_on_both_sides_is_an_error(rows: Rows, folder: Path) -> None:
    rows[2]["group"] = rows[0]["group"]
    write_table(folder, rows)
    with pytest.raises(DataError, match=r"Leakage: group Benign-train .*two sides"):
        official_split(read_fields(folder))


def test_the_same_content_on_both_sides_is_an_error(rows: Rows, folder: Path) -> None:
    replace(folder, rows[2], content_of(folder, rows[0]))
    write_table(folder, rows)
    message = r"Leakage: content on two sides .*Benign/0\.png and Benign/2\.png"
    with pytest.raises(DataError, match=message):
        read_fields(folder)


def test_sides_that_share_a_file_are_an_error(folder: Path) -> None:
    fields = read_fields(folder)
    stray = Field(fields[0].path, 0, "another", "calibration", fields[0].sha256)
    with pytest.raises(DataError, match="Leakage: content"):
        check_disjoint([fields, [stray]])


def test_unmarked_duplicates_are_dropped_and_counted(rows: Rows, folder: Path) -> None:
    replace(folder, rows[1], content_of(folder, rows[0]))
    write_table(folder, rows)
    dataset = read_dataset(folder)
    assert dataset.duplicates == 1
    assert [field.sha256 for field in dataset.fields] == [
        row["sha256"] for row in (rows[0], *rows[2:])
    ]


def test_one_content_under_two_classes_is_an_error(rows: Rows, folder: Path) -> None:
    replace(folder, rows[4], content_of(folder, rows[0]))
    write_table(folder, rows)
    message = r"One content under two classes: Benign/0\.png and Early/0\.png"
    with pytest.raises(DataError, match=message):
        read_fields(folder)


def test_every_disagreement_of_table_and_folders_is_told(rows: Rows, folder: Path) -> None:
    (folder / "all_smears/Benign/1.png").unlink()
    rows[4]["class"] = "Pre"
    rows[5]["sha256"] = "0" * 64
    del rows[6]
    write_table(folder, [*rows, rows[8]])
    with pytest.raises(DataError) as caught:
        read_fields(folder)
    for part in (
        "disagree about 5 file(s)",
        "Benign/1.png is listed, but no image in a class folder",
        "Early/0.png is listed as Pre",
        "Early/1.png has another sha256 than listed",
        "Early/2.png is not listed",
        "Pre/1.png is listed 2 times",
        "Correct the table or the folders, or remove the table",
    ):
        assert part in str(caught.value)


def test_at_most_five_disagreements_are_spelt_out(rows: Rows, folder: Path) -> None:
    write_table(folder, rows[:8])
    with pytest.raises(DataError, match=r"about 8 file.*Pro/0\.png is not listed; and 3 more\."):
        read_fields(folder)


def test_a_missing_table_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the class folders .*set DATA_DIR or --data"):
        read_fields(tmp_path)
    with pytest.raises(DataError, match=r"nowhere cannot be read .*set DATA_DIR or --data"):
        read_fields(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("class", "Basophil", "no class 'Basophil'"),
        ("group", "", "no group"),
        ("split", "test", "has split 'test', not one of"),
    ],
)
def test_a_malformed_row_is_named(
    rows: Rows, folder: Path, column: str, value: str, told: str
) -> None:
    rows[3][column] = value
    write_table(folder, rows)
    with pytest.raises(DataError, match=rf"{told}.*Benign/3\.png|Benign/3\.png {told}"):
        read_fields(folder)


def test_a_table_that_is_no_text_is_an_error(folder: Path) -> None:
    (folder / "all_smears/groups.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(DataError, match="cannot be read as a CSV table"):
        read_fields(folder)


def test_a_table_with_a_byte_order_mark_is_read(folder: Path) -> None:
    table = folder / "all_smears/groups.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(read_fields(folder)) == 16


@pytest.mark.parametrize("with_table", [True, False])
def test_damaged_files_are_named_together(folder: Path, with_table: bool) -> None:
    if not with_table:
        (folder / "all_smears/groups.csv").unlink()
    whole = (folder / "all_smears/Early/1.png").read_bytes()
    (folder / "all_smears/Early/1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "all_smears/Pro/3.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read_fields(folder)
    for part in (
        "Early/1.png cannot be used: The image file is cut off",
        "Pro/3.png cannot be used: The file is empty.",
        "Fetch the file again, or remove it.",
    ):
        assert part in str(caught.value)


def test_files_damaged_since_are_named_together(folder: Path) -> None:
    paths = [field.path for field in read_fields(folder)]
    whole = paths[5].read_bytes()
    paths[5].write_bytes(whole[: len(whole) // 2])
    paths[15].unlink()
    message = r"Early/1\.png cannot be used: .*Pro/3\.png cannot be read \(No such file"
    with pytest.raises(DataError, match=message):
        load_canonical(paths)


def test_at_most_ten_damaged_files_are_spelt_out(folder: Path) -> None:
    paths = [field.path for field in read_fields(folder)]
    for path in paths:
        path.unlink()
    with pytest.raises(DataError, match=r"Pre/1\.png cannot be read .* and 6 more Fetch") as caught:
        load_canonical(paths)
    assert str(caught.value).count("cannot be read") == 10


@pytest.mark.parametrize("with_table", [True, False])
def test_a_class_without_images_is_named(folder: Path, with_table: bool) -> None:
    if not with_table:
        (folder / "all_smears/groups.csv").unlink()
    for path in (folder / "all_smears/Pre").iterdir():
        path.unlink()
    (folder / "all_smears/Pre/Thumbs.db").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"has no image of class Pre; put some into .*Pre"):
        read_fields(folder)
    shutil.rmtree(folder / "all_smears/Pre")
    with pytest.raises(DataError, match=r"has no image of class Pre; put some into .*Pre"):
        read_fields(folder)


def test_images_in_a_folder_named_after_no_class_are_an_error(images: Path) -> None:
    (images / "Pro").rename(images / "Prro")
    with pytest.raises(DataError, match=r"Prro holds images but is named after no class"):
        read_fields(images)


def test_without_a_table_groups_and_split_are_found(images: Path) -> None:
    dataset = read_dataset(images)
    train, calibration = official_split(dataset.fields)
    assert dataset.grouping == "found"
    assert [len(set(labels_of(side).tolist())) for side in (train, calibration)] == [4, 4]
    assert len(calibration) == 4
    assert read_dataset(images) == dataset


def test_without_a_table_duplicates_in_other_files_are_dropped(images: Path) -> None:
    shutil.copy(images / "Pro/0.png", images / "Pro/7.png")
    Image.open(images / "Pro/1.png").save(images / "Pro/8.bmp")
    dataset = read_dataset(images)
    assert dataset.duplicates == 2
    assert sorted(f.path.name for f in dataset.fields if f.label == 3) == [
        f"{n}.png" for n in range(4)
    ]


def test_without_a_table_a_class_of_one_image_cannot_be_split(images: Path) -> None:
    for number in (1, 2, 3):
        (images / f"Early/{number}.png").unlink()
    with pytest.raises(DataError, match=r"The 1 images of class Early form 1 group"):
        read_fields(images)


def test_the_description_says_what_was_given_and_dropped(rows: Rows, folder: Path) -> None:
    rows[1]["exact_dup_of"] = rows[0]["file"]
    write_table(folder, rows)
    assert describe(read_dataset(folder)) == [
        f"15 fields in {folder / 'all_smears'}; 1 exact duplicates dropped",
        "groups: given by groups.csv",
        "train: 7 fields: Benign 1 (1 groups), Early 2 (1 groups), Pre 2 (1 groups), "
        "Pro 2 (1 groups)",
        "calibration: 8 fields: Benign 2 (1 groups), Early 2 (1 groups), Pre 2 (1 groups), "
        "Pro 2 (1 groups)",
        "near-duplicate pairs across the split: 0",
    ]


def test_the_description_says_that_groups_were_found(images: Path) -> None:
    assert describe(read_dataset(images))[1] == (
        "groups: no groups.csv; pseudo-patients found from perceptual hashes and serial numbers, "
        "and split by rule"
    )


def test_near_duplicates_across_the_split_are_told_with_examples(rows: Rows, folder: Path) -> None:
    for row in rows[0::4]:
        pixels = np.asarray(Image.open(folder / "all_smears" / row["file"]))
        path = folder / "shifted.png"
        Image.fromarray(np.roll(pixels, 14, axis=1)).save(path)
        replace(folder, rows[rows.index(row) + 2], path.read_bytes())
    write_table(folder, rows)
    dataset = read_dataset(folder)
    assert describe(dataset)[-1] == (
        "near-duplicate pairs across the split: 4, for instance Benign/0.png and Benign/2.png; "
        "Early/0.png and Early/2.png; Pre/0.png and Pre/2.png"
    )
    assert near_duplicates_across([dataset.fields, []]) == []


def test_canonical_pixels_of_a_file_already_square_are_its_own(folder: Path) -> None:
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


def test_a_group_of_two_classes_stays_whole_in_the_folds(folder: Path) -> None:
    fields = read_fields(folder)
    stray = fields[15]
    mixed = [*fields[:15], Field(stray.path, 3, fields[2].group, "calibration", stray.sha256)]
    parts = group_folds(mixed, 2)
    assert sorted(map(len, parts)) == [8, 8]
    (home,) = [part for part in parts if mixed[15] in part]
    assert fields[2] in home


def test_the_leaky_split_is_stratified_seeded_and_tears_groups_apart(folder: Path) -> None:
    fields = read_fields(folder)
    training, held_out = leaky_random_split(fields, seed=1, share=0.25)
    assert labels_of(held_out).tolist() == [0, 1, 2, 3]
    assert sorted([*training, *held_out], key=fields.index) == fields
    assert {f.group for f in training} & {f.group for f in held_out}
    assert leaky_random_split(fields, seed=1, share=0.25) == (training, held_out)
    assert leaky_random_split(fields, seed=2, share=0.25) != (training, held_out)
    with pytest.raises(DataError, match="Leakage"):
        check_disjoint([training, held_out])


@pytest.mark.data
def test_the_real_set_has_no_leakage_and_no_duplicate(data_dir: Path) -> None:
    dataset = read_dataset(data_dir)
    fields = dataset.fields
    assert (dataset.duplicates, dataset.grouping) == (18, "given")
    train, calibration = official_split(fields)
    assert (len(train), len(calibration)) == (2026, 498)
    assert len({field.sha256 for field in fields}) == len(fields)
    assert len({f.group for f in calibration}) == 14
    parts = group_folds(fields, 3)
    check_disjoint(parts)
    assert all(len(np.unique(labels_of(part))) == 4 for part in parts)
