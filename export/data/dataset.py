"""The image set on disk: which fields there are, and their canonical pixels."""

import csv
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.preprocess import resize
from export.config import CLASS_LABELS, INPUT_HEIGHT, INPUT_WIDTH
from export.data.grouping import THUMBNAIL, find_groups, hold_out, thumbnail
from export.errors import DataError

SPLITS = ("train", "calibration")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
TABLE = "groups.csv"
COLUMNS = ("file", "class", "sha256", "group", "split")

# How a class folder, or the class column of the table, may name each label.
_LABEL_OF = {
    name: label for label, names in enumerate(CLASS_LABELS.items()) for name in sorted(set(names))
}


@dataclass(frozen=True)
class Field:
    """One labelled field.

    Attributes:
        path: the image file.
        label: index into the contract's labels.
        group: pseudo-patient; neighbouring and overlapping fields share it.
        split: ``train`` or ``calibration``.
        sha256: of the file, hexadecimal.
    """

    path: Path
    label: int
    group: str
    split: str
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """All fields of an image set, and what had to be done to get them.

    Attributes:
        fields: without exact duplicates; in the table's order, or by folder and file name.
        duplicates: how many files were left out because another one shows the same pixels.
        grouping: groups and split were ``given`` by the table, or ``found`` by ``grouping``.
        folder: which holds the class folders.
    """

    fields: list[Field]
    duplicates: int
    grouping: Literal["given", "found"]
    folder: Path


class _File(NamedTuple):
    """An image file as it lies on disk; ``pixels`` is a digest of the decoded image."""

    label: int
    sha256: str
    pixels: str


def read_fields(data_dir: Path) -> list[Field]:
    """The fields of ``read_dataset``, which see."""
    return read_dataset(data_dir).fields


def read_dataset(data_dir: Path) -> DataSet:
    """All fields of an image set, every file read and decoded once.

    The class folders lie in ``all_smears`` inside ``data_dir``, or in ``data_dir`` itself. They
    are called Benign, Early, Pre and Pro, or by the contract's labels. With ``groups.csv``
    beside them, groups and split are read from it; without, they are found.

    Raises:
        DataError: a class is missing or empty, a file cannot be decoded, the table is malformed
            or disagrees with the folders, one content has two labels or lies on two sides of the
            split, or a class has too few groups to be split.
    """
    folder = data_dir / "all_smears"
    if not folder.is_dir():
        folder = data_dir
    files = _scan(folder)
    table = folder / TABLE
    if table.exists():
        fields = _drop_duplicates(_listed(table, files), files)
        return DataSet(fields, len(files) - len(fields), "given", folder)
    fields = [Field(path, file.label, "", "", file.sha256) for path, file in files.items()]
    fields = _grouped(_drop_duplicates(fields, files))
    return DataSet(fields, len(files) - len(fields), "found", folder)


def labels_of(fields: Sequence[Field]) -> NDArray[np.int64]:
    """int64 [N], the label index of every field."""
    return np.array([field.label for field in fields], dtype=np.int64)


def load_canonical(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Canonical pixels, uint8 [N, 224, 224, 3] RGB, with the corner not yet covered.

    Raises:
        DataError: files are missing or cannot be decoded; names them.
    """
    images = np.empty((len(paths), INPUT_HEIGHT, INPUT_WIDTH, 3), np.uint8)
    for index, (_, rgb) in enumerate(_decoded(paths)):
        images[index] = resize(rgb, INPUT_HEIGHT, INPUT_WIDTH)
    return images


def load_thumbnails(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Grey thumbnails, uint8 [N, 64, 64], for ``grouping``.

    Raises:
        DataError: files are missing or cannot be decoded; names them.
    """
    thumbnails = np.empty((len(paths), THUMBNAIL, THUMBNAIL), np.uint8)
    for index, (_, rgb) in enumerate(_decoded(paths)):
        thumbnails[index] = thumbnail(rgb)
    return thumbnails


def source_files(data_dir: Path, kind: str, source: str) -> list[Path]:
    """Image files of one other source, e.g. ``("other_lab", "bccd")``, sorted.

    Raises:
        DataError: there is none.
    """
    folder = data_dir / kind / source
    files = _images(folder.rglob("*"))
    if not files:
        raise DataError(f"{folder} holds no image; set DATA_DIR or --data to the data folder.")
    return files


def data_digest(fields: Sequence[Field]) -> str:
    """sha256 over the sorted sha256 of every file, hexadecimal: which data a model has seen."""
    digest = hashlib.sha256()
    for sha256 in sorted(field.sha256 for field in fields):
        digest.update(sha256.encode())
    return digest.hexdigest()


def short_name(path: Path) -> str:
    """Class folder and file name, which say enough to find a file of the set."""
    return f"{path.parent.name}/{path.name}"


def _scan(folder: Path) -> dict[Path, _File]:
    """Every image in the class folders, by folder and name."""
    label_of = {
        path: label
        for directory, label in _class_folders(folder)
        for path in _images(_inside(directory))
    }
    for label, name in enumerate(CLASS_LABELS):
        if label not in label_of.values():
            raise DataError(
                f"{folder} has no image of class {name}; put some into {folder / name} (file "
                f"names ending in {', '.join(IMAGE_SUFFIXES)})."
            )
    contents = zip(label_of.items(), _decoded(list(label_of)), strict=True)
    return {
        path: _File(
            label,
            hashlib.sha256(data).hexdigest(),
            hashlib.sha256(repr(rgb.shape).encode() + rgb.tobytes()).hexdigest(),
        )
        for (path, label), (data, rgb) in contents
    }


def _class_folders(folder: Path) -> list[tuple[Path, int]]:
    """Folder and label of every class folder, by name."""
    inside = [path for path in _inside(folder) if path.is_dir()]
    found = [(path, _LABEL_OF[path.name]) for path in inside if path.name in _LABEL_OF]
    if not found:
        raise DataError(
            f"{folder} holds none of the class folders {', '.join(CLASS_LABELS)}; set DATA_DIR "
            "or --data to the data folder."
        )
    for path in inside:
        if path.name not in _LABEL_OF and _images(_inside(path)):
            raise DataError(
                f"{path} holds images but is named after no class; call it one of "
                f"{', '.join(_LABEL_OF)}, or move it elsewhere."
            )
    return found


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}); set DATA_DIR or --data to the data "
            "folder."
        ) from error


def _images(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES)


def _decoded(paths: Iterable[Path]) -> Iterator[tuple[bytes, NDArray[np.uint8]]]:
    """Content and decoded RGB of each file; what cannot be used is told at the end, together."""
    problems = []
    for path in paths:
        try:
            data = path.read_bytes()
            yield data, decode(data).rgb
        except OSError as error:
            problems.append(f"{path} cannot be read ({error.strerror}).")
        except ImageRefusedError as error:
            problems.append(f"{path} cannot be used: {error.message}")
    if problems:
        raise DataError(f"{_some(problems, 10, ' ')} Fetch the file again, or remove it.")


def _listed(table: Path, files: dict[Path, _File]) -> list[Field]:
    """The fields that the table lists, without those that it marks as duplicates."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a CSV table in UTF-8 ({error}).") from error
    listed = [_field(row, table) for row in rows]
    problems = _disagreements(listed, files)
    if problems:
        raise DataError(
            f"{table} and the folders disagree about {len(problems)} file(s): "
            f"{_some(problems, 5, '; ')}. Correct the table or the folders, or remove the table "
            "to have groups found."
        )
    return [field for field, row in zip(listed, rows, strict=True) if not row.get("exact_dup_of")]


def _field(row: dict[str, str], table: Path) -> Field:
    lacking = [column for column in COLUMNS if not row.get(column)]
    if lacking or row["class"] not in _LABEL_OF:
        reason = f"no {', '.join(lacking)}" if lacking else f"no class {row['class']!r}"
        raise DataError(f"{table}: a row is malformed ({reason}): {row}.")
    if row["split"] not in SPLITS:
        raise DataError(f"{table}: {row['file']} has split {row['split']!r}, not one of {SPLITS}.")
    return Field(
        path=table.parent / row["file"],
        label=_LABEL_OF[row["class"]],
        group=row["group"],
        split=row["split"],
        sha256=row["sha256"],
    )


def _disagreements(listed: Sequence[Field], files: dict[Path, _File]) -> list[str]:
    """What the table says that the folders do not, and the other way round."""
    problems = []
    for field in listed:
        name, file = short_name(field.path), files.get(field.path)
        if file is None:
            problems.append(f"{name} is listed, but no image in a class folder")
        elif file.label != field.label:
            problems.append(f"{name} is listed as {list(CLASS_LABELS)[field.label]}")
        elif file.sha256 != field.sha256:
            problems.append(f"{name} has another sha256 than listed")
    times = Counter(field.path for field in listed)
    problems += [f"{short_name(path)} is listed {n} times" for path, n in times.items() if n > 1]
    problems += [f"{short_name(path)} is not listed" for path in files if path not in times]
    return problems


def _drop_duplicates(fields: Sequence[Field], files: dict[Path, _File]) -> list[Field]:
    """The first field of each content."""
    first: dict[str, Field] = {}
    contradictory, leaking = [], []
    for field in fields:
        other = first.setdefault(files[field.path].pixels, field)
        pair = f"{short_name(other.path)} and {short_name(field.path)}"
        if other.label != field.label:
            contradictory.append(pair)
        elif other.split != field.split:
            leaking.append(pair)
    if contradictory:
        raise DataError(
            f"One content under two classes: {_some(contradictory, 5, '; ')}. Remove the one "
            "that lies in the wrong folder."
        )
    if leaking:
        raise DataError(
            f"Leakage: content on two sides of the split: {_some(leaking, 5, '; ')}. Put both "
            f"files on one side in {TABLE}, or remove one."
        )
    return list(first.values())


def _grouped(fields: Sequence[Field]) -> list[Field]:
    """The same fields with groups and splits found from their pixels and names."""
    labels = labels_of(fields)
    thumbnails = load_thumbnails([field.path for field in fields])
    groups = find_groups(thumbnails, labels, [field.path.stem for field in fields])
    return [
        dataclasses.replace(field, group=group, split=SPLITS[int(held_out)])
        for field, group, held_out in zip(fields, groups, hold_out(labels, groups), strict=True)
    ]


def _some(items: Sequence[str], most: int, separator: str) -> str:
    """The first items of a list that may be long, and how many more there are."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*items[:most], *more])
