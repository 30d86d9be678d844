"""Figures with their number of fields, their number of groups and their interval."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.metrics import f1_score, roc_auc_score

from diagnosis.core.imaging.contract import BENIGN, LABELS

CONFIDENCE = 0.95
BENIGN_INDEX = LABELS.index(BENIGN)
REFUSED = len(LABELS)  # stands for a class where a field got none
Figures = dict[str, Any]


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a binomial proportion (Clopper and Pearson 1934).

    It takes fields as independent; neighbouring fields of one pseudo-patient are not, so it is
    optimistic and is labelled so wherever it is printed.
    """
    tail = (1 - CONFIDENCE) / 2
    lower = beta.ppf(tail, successes, n - successes + 1) if successes else 0.0
    upper = beta.ppf(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return float(lower), float(upper)


def proportion(hits: NDArray[np.bool_], groups: Sequence[str]) -> Figures:
    """Share of ``hits`` with its interval over fields and its range over ``groups``.

    Without any field the share is 0 of 0, which says nothing: interval and range are [0, 1].
    """
    if len(hits) == 0:
        nothing = {"value": 0.0, "successes": 0, "n": 0, "groups": 0}
        return nothing | {"interval": [0.0, 1.0], "group_range": [0.0, 1.0]}
    by_group: dict[str, list[bool]] = defaultdict(list)
    for hit, group in zip(hits, groups, strict=True):
        by_group[group].append(bool(hit))
    shares = [float(np.mean(members)) for members in by_group.values()]
    return {
        "value": float(np.mean(hits)),
        "successes": int(hits.sum()),
        "n": len(hits),
        "groups": len(by_group),
        "interval": list(clopper_pearson(int(hits.sum()), len(hits))),
        "group_range": [min(shares), max(shares)],
    }


def classification(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], groups: Sequence[str]
) -> Figures:
    """Accuracy, macro-F1, recall of each class, of malignancy as a whole, and confusion matrix.

    *Malignant sensitivity* is the share of malignant fields given any malignant class,
    *malignant specificity* the share of Benign ones given Benign.

    Args:
        labels: int64 [N].
        predicted: int64 [N], ``REFUSED`` where a field was refused, which counts as an error.
        groups: pseudo-patient of each field.
    """
    names = np.asarray(groups)
    malignant = labels != BENIGN_INDEX
    confusion = np.zeros((len(LABELS), len(LABELS) + 1), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    recall = {
        name: proportion(predicted[labels == i] == i, list(names[labels == i]))
        for i, name in enumerate(LABELS)
        if (labels == i).any()
    }
    return {
        "accuracy": proportion(predicted == labels, groups),
        "balanced_accuracy": float(np.mean([figure["value"] for figure in recall.values()])),
        "macro_f1": float(
            f1_score(labels, predicted, labels=range(len(LABELS)), average="macro", zero_division=0)
        ),
        "recall": recall,
        "malignant_sensitivity": proportion(
            (predicted[malignant] != BENIGN_INDEX) & (predicted[malignant] != REFUSED),
            list(names[malignant]),
        ),
        "malignant_specificity": proportion(
            predicted[~malignant] == BENIGN_INDEX, list(names[~malignant])
        ),
        "confusion": confusion.tolist(),
    }


def area_under_roc(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Figures:
    """Area under the ROC curve of each class against the rest, their mean, and of malignancy.

    Args:
        probabilities: float64 [N, classes].
        labels: int64 [N].
    """
    by_class = {
        name: float(roc_auc_score(labels == i, probabilities[:, i]))
        for i, name in enumerate(LABELS)
    }
    malignant = 1 - probabilities[:, BENIGN_INDEX]
    return {
        "by_class": by_class,
        "mean": float(np.mean(list(by_class.values()))),
        "malignant": float(roc_auc_score(labels != BENIGN_INDEX, malignant)),
    }


def calibration_error(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int = 10
) -> float:
    """Expected calibration error of the largest probability in equal bins (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(correct[bin_of == b].mean() - confidence[bin_of == b].mean()) * (bin_of == b).mean()
        for b in range(bins)
        if (bin_of == b).any()
    ]
    return float(sum(gaps))
