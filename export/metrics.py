"""Figures with their number of fields, their number of groups and their interval."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnosis.imaging.contract import LABELS

CONFIDENCE = 0.95
REFUSED = len(LABELS)  # stands for a class where a field got none
Figures = dict[str, Any]


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a binomial proportion (Clopper and Pearson 1934).

    Its bounds are quantiles of beta distributions, found here by bisection of the regularised
    incomplete beta function. It takes fields as independent; neighbouring fields of one
    pseudo-patient are not, so it is optimistic and is labelled so wherever it is printed.
    """
    tail = (1 - CONFIDENCE) / 2
    lower = _beta_quantile(tail, successes, n - successes + 1) if successes else 0.0
    upper = _beta_quantile(1 - tail, successes + 1, n - successes) if successes < n else 1.0
    return lower, upper


def proportion(hits: NDArray[np.bool_], groups: Sequence[str]) -> Figures:
    """Share of ``hits`` with its interval over fields and its range over ``groups``."""
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
    """Accuracy, recall of each class and confusion matrix.

    Args:
        labels: int64 [N].
        predicted: int64 [N], ``REFUSED`` where a field was refused, which counts as an error.
        groups: pseudo-patient of each field.
    """
    names = np.asarray(groups)
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
        "recall": recall,
        "confusion": confusion.tolist(),
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


def _beta_quantile(probability: float, a: float, b: float) -> float:
    import tensorflow as tf  # half a gigabyte that most importers of this module do not need

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        x = tf.constant(middle, tf.float64)
        below = float(tf.math.betainc(tf.constant(a, tf.float64), tf.constant(b, tf.float64), x))
        low, high = (middle, high) if below < probability else (low, middle)
    return (low + high) / 2
