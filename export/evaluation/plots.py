"""Pictures of figures, as SVG: the same numbers always give the same file.

Lines differ by colour (Okabe and Ito 2008, told apart by all common kinds of colour vision) and
by dashes or markers, so they can be told apart in black and white as well. Words stay words:
a screen reader can read them, and a test.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import auc, roc_curve

from diagnosis.core.imaging.contract import LABELS
from export.evaluation.metrics import BENIGN_INDEX, REFUSED, calibration_error

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "v", "D", "P", "X")
POINTS = 100  # of a curve at most: more cannot be seen and make large files
BINS = 10
Answers = tuple[NDArray[np.float64], NDArray[np.int64]]


def draw_confusion(confusion: Sequence[Sequence[int]], path: Path) -> None:
    """Counts, shaded by their share of the row.

    Args:
        confusion: ``metrics.classification``'s: one row a label, its last column the refused
            fields, left out where nothing was refused.
    """
    picture, axes = _figure(6.4, 4.2)
    columns = [*map(_short, LABELS), "refused"]
    if not any(row[REFUSED] for row in confusion):
        columns.pop()
    shares = np.array([[value / max(1, sum(row)) for value in row] for row in confusion])
    axes.imshow(shares[:, : len(columns)], cmap="Blues", vmin=0, vmax=1)
    for y, row in enumerate(confusion):
        for x, value in enumerate(row[: len(columns)]):
            colour = "w" if shares[y, x] > 0.5 else "k"
            axes.text(x, y, str(value), ha="center", va="center", color=colour)
    axes.grid(visible=False)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(LABELS)), list(map(_short, LABELS)))
    axes.set_xlabel("answer")
    axes.set_ylabel("label")
    _save(picture, path)


def draw_learning_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]], path: Path
) -> None:
    """Accuracy by epoch of one network or several, in training (dashed) and held out.

    Args:
        histories: for each name the rows of ``train.read_history``.
    """
    picture, axes = _figure(6.4, 4.0)
    for number, (name, history) in enumerate(histories.items()):
        epochs = [row["epoch"] for row in history]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        step = max(1, len(epochs) // 10)
        for key, dashes, label in (
            ("held_out_accuracy", "-", name),
            ("accuracy", "--", "_"),  # matplotlib keeps such a label out of the legend
        ):
            axes.plot(
                epochs,
                [row[key] for row in history],
                dashes,
                color=colour,
                marker=marker,
                markersize=4,
                markevery=step,
                label=label,
            )
    axes.plot([], [], "-", color="0.5", label="held out")
    axes.plot([], [], "--", color="0.5", label="training, augmented")
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0.2, 1.0)
    axes.legend(loc="lower right", fontsize="small")
    _save(picture, path)


def draw_roc(probabilities: NDArray[np.float64], labels: NDArray[np.int64], path: Path) -> None:
    """ROC curves of malignancy and of each class against the rest, whole and the best corner.

    A class is left out where the fields are all of it or none is.

    Args:
        probabilities: float64 [N, classes].
        labels: int64 [N].
    """
    picture = Figure(figsize=(8.4, 4.2), layout="constrained")
    sides = picture.subplots(1, 2)
    questions = {"malignant": (labels != BENIGN_INDEX, 1 - probabilities[:, BENIGN_INDEX])}
    questions |= {_short(name): (labels == i, probabilities[:, i]) for i, name in enumerate(LABELS)}
    for number, (name, (truth, score)) in enumerate(questions.items()):
        if truth.all() or not truth.any():
            continue
        false, true, _ = roc_curve(truth, score)
        kept = _thinned(len(false))
        for axes in sides:
            axes.plot(
                false[kept],
                true[kept],
                color=COLOURS[number],
                linestyle=DASHES[number],
                label=f"{name}: {auc(false, true):.4f}",
            )
    for axes in sides:
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("sensitivity")
        axes.grid(alpha=0.3)
    sides[0].plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    sides[0].legend(loc="lower right", title="area under the curve", fontsize="small")
    sides[1].set_title("upper left corner", fontsize="medium")
    sides[1].set_xlim(-0.005, 0.2)
    sides[1].set_ylim(0.8, 1.005)
    _save(picture, path)


def draw_reliability(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], path: Path
) -> None:
    """How often the answer is right where its probability is so much, in ten equal bins.

    Below it how many fields are in each bin; the expected calibration error (Guo et al. 2017)
    stands in the legend.

    Args:
        probabilities: float64 [N, classes].
        labels: int64 [N].
    """
    picture = Figure(figsize=(5.2, 5.2), layout="constrained")
    axes, below = picture.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    share, mean = calibration_curve(right, confidence, n_bins=BINS)
    error = calibration_error(probabilities, labels, BINS)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, label="perfect")
    label = f"measured, calibration error {error:.3f}"
    axes.plot(mean, share, "o-", color=COLOURS[1], label=label)
    axes.set_ylabel("share that is right")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    below.hist(confidence, bins=BINS, range=(0, 1), color=COLOURS[6], edgecolor="k", log=True)
    below.set_xlabel("largest probability")
    below.set_ylabel("fields")
    below.set_xlim(0, 1)
    _save(picture, path)


def risk_coverage(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of fields answered, and share of wrong answers among them, for every threshold.

    Selective classification (El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017): fields with
    the smallest largest probability are left unanswered first. Fields of equal probability are
    answered together, as no threshold can part them.

    Args:
        probabilities: float64 [N, classes].
        labels: int64 [N].

    Returns:
        Coverage, ascending to 1, and risk, both float64 [distinct probabilities].
    """
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    wrong = (probabilities.argmax(axis=1) != labels)[order]
    ends = np.flatnonzero(np.diff(confidence[order], append=-1.0))
    answered = ends + 1
    return answered / len(labels), np.cumsum(wrong)[ends] / answered


def draw_risk_coverage(
    answers: Mapping[str, Answers],
    path: Path,
    abstention: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Curves of ``risk_coverage``, one for each name.

    Args:
        answers: for each name its probabilities float64 [N, classes] and labels int64 [N].
        abstention: for some of the names coverage and risk of the rule that serves users.
    """
    picture, axes = _figure(6.4, 4.0)
    for number, (name, (probabilities, labels)) in enumerate(answers.items()):
        coverage, risk = risk_coverage(probabilities, labels)
        kept = _thinned(len(coverage))
        colour = COLOURS[number % len(COLOURS)]
        style = DASHES[number % len(DASHES)]
        axes.plot(coverage[kept], 100 * risk[kept], color=colour, linestyle=style, label=name)
        if abstention and name in abstention:
            share, error = abstention[name]
            axes.plot(
                [share],
                [100 * error],
                MARKERS[number % len(MARKERS)],
                color=colour,
                label=f"{name}, confident headlines",
            )
    axes.set_xlabel("share of fields answered")
    axes.set_ylabel("wrong among answered, %")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper left", fontsize="small")
    _save(picture, path)


def _short(label: str) -> str:
    return label.removeprefix("Malignant ")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A picture of one diagram, measured in inches."""
    picture = Figure(figsize=(width, height), layout="constrained")
    axes = picture.subplots()
    axes.grid(alpha=0.3)
    return picture, axes


def _thinned(size: int) -> NDArray[np.int64]:
    """Evenly spaced indices into ``size`` points, the first and the last among them."""
    return np.unique(np.linspace(0, size - 1, min(size, POINTS)).round().astype(np.int64))


def _save(picture: Figure, path: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "export", "svg.fonttype": "none"}):
        picture.savefig(path, format="svg", metadata={"Date": None})
