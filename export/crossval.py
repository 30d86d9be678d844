"""Grouped out-of-fold answers: each field judged by a network that never saw its group."""

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.calibrate import features_and_logits
from export.dataset import Field, data_digest, labels_of
from export.errors import RunError
from export.metrics import Figures, classification
from export.split import group_folds
from export.train import CONFIG, Report, TrainConfig, covered_images, train

OUT_OF_FOLD = "out_of_fold.csv"
FOLD = "fold-{}of{}"


def run_config(run: Path) -> TrainConfig:
    """The configuration that a run was begun with.

    Raises:
        RunError: there is no such run.
    """
    try:
        document = json.loads((run / CONFIG).read_bytes())
    except OSError as error:
        raise RunError(f"{run} is no run folder ({error.strerror}); see `train --run`.") from error
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    return TrainConfig(**{key: value for key, value in document.items() if key in names})


def cross_validate(
    run: Path, fields: Sequence[Field], folds: int, epochs: int | None, report: Report
) -> Path:
    """Train one network a fold with the configuration of ``run``; write ``out_of_fold.csv``.

    Fold networks lie in ``run/fold-<i>of<folds>`` and are resumed like any other run.

    Args:
        epochs: of each fold network; ``None`` for as many as the run's own.

    Returns:
        The table: file content, group, label, predicted label and fold of every field.
    """
    config = run_config(run)
    config = dataclasses.replace(config, epochs=epochs or config.epochs)
    parts = group_folds(fields, folds)
    rows = []
    for number, held_out in enumerate(parts):
        training = [field for part in parts if part is not held_out for field in part]
        report(f"fold {number + 1} of {folds}: {len(training)} train, {len(held_out)} held out")
        folder = run / FOLD.format(number + 1, folds)
        model = train(config, training, held_out, folder, report)
        _, logits = features_and_logits(model, covered_images(held_out))
        rows += [
            [field.sha256, field.group, field.label, int(answer), number + 1]
            for field, answer in zip(held_out, logits.argmax(axis=1), strict=True)
        ]
    beside = run / f"writing-{OUT_OF_FOLD}"
    with beside.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["sha256", "group", "label", "predicted", "fold"])
        writer.writerows(rows)
    return beside.rename(run / OUT_OF_FOLD)


def out_of_fold_figures(run: Path, fields: Sequence[Field]) -> Figures | None:
    """Figures of ``out_of_fold.csv``, or ``None`` where the run was not cross-validated.

    Raises:
        RunError: the table is of other fields than ``fields``.
    """
    path = run / OUT_OF_FOLD
    if not path.exists():
        return None
    with path.open(newline="") as lines:
        answer_of = {row["sha256"]: row for row in csv.DictReader(lines)}
    if set(answer_of) != {field.sha256 for field in fields}:
        raise RunError(f"{path} is of other fields; run `python -m export cross-validate` again.")
    rows = [answer_of[field.sha256] for field in fields]
    folds = len({row["fold"] for row in rows})
    predicted = np.array([int(row["predicted"]) for row in rows])
    return classification(labels_of(fields), predicted, [field.group for field in fields]) | {
        "split": "out of fold, train and calibration",
        "folds": folds,
        "epochs": run_config(run / FOLD.format(1, folds)).epochs,
        "data_digest": data_digest(fields),
    }
