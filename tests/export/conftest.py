"""A tiny image set on disk and a tiny trained run, made of synthetic smears."""

import csv
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from PIL import Image

from diagnosis.core.imaging.synthetic import draw_smear
from export.config import CLASS_LABELS, FITTED_SOURCES, UNSEEN_SOURCES, model_name

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

COLUMNS = ("file", "class", "number", "sha256", "exact_dup_of", "group", "split")
Rows = list[dict[str, str]]


def write_table(folder: Path, rows: Rows) -> None:
    with (folder / "all_smears/groups.csv").open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """Sixteen drawn fields, four a class in two groups: one train, one calibration."""
    folder = tmp_path_factory.mktemp("data")
    rows: Rows = []
    for label, name in enumerate(CLASS_LABELS):
        (folder / "all_smears" / name).mkdir(parents=True)
        for number in range(4):
            path = folder / "all_smears" / name / f"{number}.png"
            pixels = cv2.resize(draw_smear(10 * label + number), (224, 224))
            Image.fromarray(pixels).save(path)
            split = "train" if number < 2 else "calibration"
            rows.append(
                {
                    "file": f"{name}/{number}.png",
                    "class": name,
                    "number": str(number),
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "exact_dup_of": "",
                    "group": f"{name}-{split}",
                    "split": split,
                }
            )
    write_table(folder, rows)
    for number, (kind, source) in enumerate((*FITTED_SOURCES, *UNSEEN_SOURCES)):
        (folder / kind / source).mkdir(parents=True)
        Image.fromarray(draw_smear(90 + number)).save(folder / kind / source / "0.png")
    return folder, rows


@pytest.fixture(scope="session")
def tiny_architecture() -> Iterator[str]:
    """The name of an architecture that trains in seconds."""
    from export.training.architectures import ARCHITECTURES
    from tests.export.tiny import TINY, tiny

    ARCHITECTURES[TINY] = tiny
    yield TINY
    del ARCHITECTURES[TINY]


@pytest.fixture(scope="session")
def tiny_run(
    small_set: tuple[Path, Rows], tiny_architecture: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run of the tiny architecture on the small set."""
    from export.data.dataset import read_fields
    from export.data.split import official_split
    from export.training.runs import TrainConfig
    from export.training.train import train

    run = tmp_path_factory.mktemp("runs") / "tiny"
    config = TrainConfig(architecture=tiny_architecture, epochs=2, batch_size=4, warmup_epochs=1)
    train(config, *official_split(read_fields(small_set[0])), run, lambda line: None)
    return run


@pytest.fixture(scope="session")
def published() -> Path:
    """The version that this checkout serves."""
    from diagnosis.core.predictors.store import read_live, version_dir
    from export.config import model_store

    store = model_store()
    return version_dir(store, model_name(), read_live(store, model_name()).stable)
