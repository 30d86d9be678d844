"""Grouped out-of-fold answers: each field judged by a network that never saw its group."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.imaging.preprocess import cover
from export.config import CLASS_LABELS, COVERED
from export.data.dataset import Field, data_digest, labels_of, load_canonical
from export.data.split import group_folds
from export.errors import RunError
from export.evaluation.metrics import (
    Figures,
    area_under_roc,
    calibration_error,
    classification,
    proportion,
)
from export.evaluation.shortcuts import paint_over_cells
from export.training.calibrate import (
    Decision,
    features_and_logits,
    fit_decision,
    fit_domain,
    ood_scores,
)
from export.training.runs import Report, TrainConfig, run_config
from export.training.train import covered_images, train

OUT_OF_FOLD = "out_of_fold.csv"
FOLD = "fold-{}of{}"
ANSWERS = [f"logit_{i}" for i in range(len(CLASS_LABELS))]
PAINTED = [f"painted_logit_{i}" for i in range(len(CLASS_LABELS))]
COLUMNS = ["sha256", "group", "label", "fold", *ANSWERS, "ood_score", *PAINTED, "painted_ood_score"]


@dataclasses.dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers of N fields, each by the network of the fold it was held out of.

    Attributes:
        labels: int64 [N].
        groups: pseudo-patient of each field.
        fold: int64 [N], from 1.
        logits, scores: float32 [N, classes] and [N], not calibrated.
        painted_logits, painted_scores: the same with all nucleated cells painted over.
    """

    labels: NDArray[np.int64]
    groups: list[str]
    fold: NDArray[np.int64]
    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    painted_logits: NDArray[np.float32]
    painted_scores: NDArray[np.float32]

    def decisions(self) -> dict[int, Decision]:
        """For each fold the temperature and bounds that the other folds' answers give."""
        names = np.asarray(self.groups)
        return {
            fold: fit_decision(
                self.logits[others], self.scores[others], self.labels[others], list(names[others])
            )
            for fold in sorted(set(self.fold.tolist()))
            if (others := self.fold != fold).any()
        }

    def probabilities(self) -> NDArray[np.float64]:
        """Float64 [N, classes]; each fold's temperature was fitted on the other folds."""
        answers = np.empty(self.logits.shape, np.float64)
        for fold, decision in self.decisions().items():
            answers[self.fold == fold] = decision.probabilities(self.logits[self.fold == fold])
        return answers


def cross_validate(
    run: Path,
    config: TrainConfig,
    fields: Sequence[Field],
    folds: int,
    report: Report,
    weights: Path | None = None,
) -> Path:
    """Train one network a fold; write ``out_of_fold.csv``.

    Fold networks lie in ``run/fold-<i>of<folds>`` and are resumed like any other run; a finished
    one is only asked again. Folds may so be trained side by side by ``train_fold``.

    Args:
        weights: a local file of ImageNet weights that every fold network begins with.

    Returns:
        The table, one row a field.
    """
    rows: list[list[object]] = []
    for number in range(1, folds + 1):
        rows += train_fold(run, config, fields, folds, number, report, weights)
    beside = run / f"writing-{OUT_OF_FOLD}"
    with beside.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return beside.rename(run / OUT_OF_FOLD)


def train_fold(
    run: Path,
    config: TrainConfig,
    fields: Sequence[Field],
    folds: int,
    number: int,
    report: Report,
    weights: Path | None = None,
) -> list[list[object]]:
    """Train the network that fold ``number`` (from 1) is held out of, and ask it.

    Returns:
        Its rows of ``out_of_fold.csv``.
    """
    parts = group_folds(fields, folds)
    held_out = parts[number - 1]
    training = [field for part in parts if part is not held_out for field in part]
    report(f"fold {number} of {folds}: {len(training)} train, {len(held_out)} held out")
    model = train(config, training, held_out, run / FOLD.format(number, folds), report, weights)
    see = features_and_logits(model)
    features, _ = see(covered_images(training))
    domain = fit_domain(features, labels_of(training))

    def ask(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pooled, logits = see(images)
        return np.column_stack([logits, ood_scores(pooled, *domain)])

    answers, painted = ask(covered_images(held_out)), ask(_painted_images(held_out))
    return [
        [field.sha256, field.group, field.label, number, *map(_short, answer), *map(_short, paint)]
        for field, answer, paint in zip(held_out, answers, painted, strict=True)
    ]


def read_out_of_fold(run: Path, fields: Sequence[Field]) -> OutOfFold | None:
    """The table of ``run`` in the order of ``fields``; ``None`` if it was not cross-validated.

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

    def column(*names: str) -> NDArray[np.float32]:
        return np.array([[float(row[name]) for name in names] for row in rows], np.float32)

    return OutOfFold(
        labels=labels_of(fields),
        groups=[field.group for field in fields],
        fold=np.array([int(row["fold"]) for row in rows]),
        logits=column(*ANSWERS),
        scores=column("ood_score")[:, 0],
        painted_logits=column(*PAINTED),
        painted_scores=column("painted_ood_score")[:, 0],
    )


def out_of_fold_figures(run: Path, fields: Sequence[Field]) -> Figures | None:
    """Figures of ``out_of_fold.csv``, or ``None`` where the run was not cross-validated.

    Temperature and bounds are cross-fitted: those of a fold come from the other folds' answers.

    Raises:
        RunError: the table is of other fields than ``fields``.
    """
    answers = read_out_of_fold(run, fields)
    if answers is None:
        return None
    labels, groups = answers.labels, answers.groups
    predicted = answers.logits.argmax(axis=1)
    painted = classification(labels, answers.painted_logits.argmax(axis=1), groups)
    probabilities = answers.probabilities()
    confident, painted_confident = np.empty(len(labels), bool), np.empty(len(labels), bool)
    for fold, decision in answers.decisions().items():
        ours = answers.fold == fold
        confident[ours] = decision.confident(answers.logits[ours], answers.scores[ours])
        painted_confident[ours] = decision.confident(
            answers.painted_logits[ours], answers.painted_scores[ours]
        )
    folds = int(answers.fold.max())
    return classification(labels, predicted, groups) | {
        "split": "out of fold, train and calibration",
        "folds": folds,
        "epochs": run_config(run / FOLD.format(1, folds)).epochs,
        "data_digest": data_digest(fields),
        "area_under_roc": area_under_roc(probabilities, labels),
        "expected_calibration_error": calibration_error(probabilities, labels),
        "confident": proportion(confident, groups),
        "confident_accuracy": proportion(
            (predicted == labels)[confident], list(np.asarray(groups)[confident])
        ),
        "painted_over": {
            "balanced_accuracy": painted["balanced_accuracy"],
            "accuracy": painted["accuracy"],
            "confident": proportion(painted_confident, groups),
        },
    }


def _painted_images(fields: Sequence[Field]) -> NDArray[np.uint8]:
    """Canonical images as serving would make them of fields without nucleated cells."""
    cv2.setNumThreads(1)
    images = load_canonical([field.path for field in fields])
    return np.stack([cover(paint_over_cells(image), COVERED) for image in images])


def _short(value: float) -> str:
    """Six significant digits: enough to make every figure again."""
    return f"{value:.6g}"
