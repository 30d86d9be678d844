"""The image set on disk: which fields there are, and their canonical pixels."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diagnosis.errors import ImageRefused
from diagnosis.imaging.decode import decode
from diagnosis.imaging.preprocess import resize
from export.config import CLASS_LABELS, INPUT_HEIGHT, INPUT_WIDTH
from export.errors import DataError

SPLITS = ("train", "calibration")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")


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


def read_fields(data_dir: Path) -> list[Field]:
    """All fields that ``all_smears/groups.csv`` lists, exact duplicates left out, in its order.

    Raises:
        DataError: the table is missing or malformed.
    """
    folder = data_dir / "all_smears"
    table = folder / "groups.csv"
    try:
        with table.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
    except OSError as error:
        raise DataError(
            f"{table} cannot be read ({error.strerror}); set DATA_DIR or --data to the data folder."
        ) from error
    fields = [_field(folder, row, table) for row in rows if not row.get("exact_dup_of")]
    if not fields:
        raise DataError(f"{table} lists no field.")
    return fields


def labels_of(fields: Sequence[Field]) -> NDArray[np.int64]:
    """int64 [N], the label index of every field."""
    return np.array([field.label for field in fields], dtype=np.int64)


def load_canonical(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Canonical pixels, uint8 [N, 224, 224, 3] RGB, with the corner not yet covered.

    Raises:
        DataError: a file is missing or cannot be decoded; names it.
    """
    images = np.empty((len(paths), INPUT_HEIGHT, INPUT_WIDTH, 3), np.uint8)
    for image, path in zip(images, paths, strict=True):
        try:
            image[:] = resize(decode(path.read_bytes()).rgb, INPUT_HEIGHT, INPUT_WIDTH)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}).") from error
        except ImageRefused as error:
            raise DataError(f"{path} cannot be used: {error.message} Fetch it again.") from error
    return images


def source_files(data_dir: Path, kind: str, source: str) -> list[Path]:
    """Image files of one other source, e.g. ``("other_lab", "bccd")``, sorted.

    Raises:
        DataError: there is none.
    """
    folder = data_dir / kind / source
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DataError(f"{folder} holds no image; set DATA_DIR or --data to the data folder.")
    return files


def data_digest(fields: Sequence[Field]) -> str:
    """sha256 over the sorted sha256 of every file, hexadecimal: which data a model has seen."""
    digest = hashlib.sha256()
    for sha256 in sorted(field.sha256 for field in fields):
        digest.update(sha256.encode())
    return digest.hexdigest()


def _field(folder: Path, row: dict[str, str], table: Path) -> Field:
    try:
        field = Field(
            path=folder / row["file"],
            label=list(CLASS_LABELS).index(row["class"]),
            group=row["group"],
            split=row["split"],
            sha256=row["sha256"],
        )
    except (KeyError, ValueError) as error:
        raise DataError(f"{table}: a row is malformed ({error}): {row}.") from error
    if field.split not in SPLITS:
        raise DataError(f"{table}: {row['file']} has split {field.split!r}, not one of {SPLITS}.")
    return field
