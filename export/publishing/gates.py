"""Gates that a candidate passes before it is published, or is let through with a recorded reason.

Pure functions of figures as model cards hold them. A gate that fails raises a ``PublishError``;
with a reason it returns what was accepted instead, which belongs into ``model_card.json``.
"""

from dataclasses import dataclass

import numpy as np

from export.errors import PublishError
from export.evaluation.metrics import BENIGN_INDEX, REFUSED, Figures
from export.evaluation.shortcuts import PAINTED_OVER

MAX_LOSS = 0.01  # of an out-of-fold figure against the promoted version's
MAX_PAINTED_OVER = 0.40  # balanced accuracy without any nucleated cell; chance is 0.25
ROUNDING = 1e-9  # 0.98 − 0.97 is a little more than 0.01


@dataclass(frozen=True)
class Acceptance:
    """A gate that failed and was passed over.

    Attributes:
        gate: its name.
        failure: what failed and by how much, in sentences.
        reason: why somebody publishes all the same.
    """

    gate: str
    failure: str
    reason: str


def check_regression(
    candidate: Figures | None, promoted: Figures | None, accepted: str
) -> Acceptance | None:
    """Refuse a candidate whose out-of-fold figures are worse than the promoted version's.

    Malignant sensitivity and macro-F1 may each be lower by ``MAX_LOSS`` at most.

    Args:
        candidate: the candidate's figures, with ``out_of_fold``.
        promoted: figures of the promoted version, or ``None`` if none is: nothing is compared.
        accepted: reason to publish all the same, or empty.

    Returns:
        What was accepted, or ``None`` if the gate was passed.

    Raises:
        PublishError: the candidate was not cross-validated, whatever ``accepted`` says; or the
            gate failed and ``accepted`` is empty.
    """
    if promoted is None:
        return None
    ours = (candidate or {}).get("out_of_fold")
    if ours is None:
        raise PublishError(
            "The run has no out-of-fold figures to hold against those of the promoted version; "
            "run `python -m export cross-validate` first."
        )
    theirs = promoted.get("out_of_fold")
    if theirs is None:
        failures = ["The promoted version has no out-of-fold figures to compare with."]
    else:
        before, after = _compared(theirs), _compared(ours)
        failures = [
            f"Out-of-fold {name} is {after[name]:.2%}, {_points(before[name] - after[name])} below "
            f"the promoted version's {before[name]:.2%} ({_points(MAX_LOSS)} are allowed)."
            for name in before
            if not before[name] - after[name] <= MAX_LOSS + ROUNDING
        ]
    return _settle("regression", " ".join(failures), accepted, "Train a better one")


def check_shortcut(audit: Figures, accepted: str) -> Acceptance | None:
    """Refuse a candidate that still tells the classes with all nucleated cells painted over.

    Args:
        audit: what ``export.evaluation.shortcuts.audit`` answered for the candidate.
        accepted: reason to publish all the same, or empty.

    Returns:
        What was accepted, or ``None`` if the gate was passed.

    Raises:
        PublishError: the gate failed and ``accepted`` is empty.
    """
    found = audit[PAINTED_OVER]["balanced_accuracy"]
    failure = ""
    if not found <= MAX_PAINTED_OVER:
        failure = (
            f"With all nucleated cells painted over, balanced accuracy is {found:.2%}, "
            f"{_points(found - MAX_PAINTED_OVER)} above the {MAX_PAINTED_OVER:.0%} allowed: "
            "the network reads the background."
        )
    return _settle("shortcut", failure, accepted, "Train one that sees cells alone")


def _settle(gate: str, failure: str, accepted: str, remedy: str) -> Acceptance | None:
    """Nothing without ``failure``; else the acceptance, or an error where there is no reason."""
    if not failure:
        return None
    if not accepted.strip():
        raise PublishError(
            f"{failure} Nothing was published. {remedy}, or publish all the same with "
            f'--accept-{gate} "REASON", which the model card will show.'
        )
    return Acceptance(gate, failure, accepted.strip())


def _points(difference: float) -> str:
    return f"{100 * difference:.2f} points"


def _compared(figures: Figures) -> dict[str, float]:
    """Malignant sensitivity and macro-F1 from the confusion matrix.

    Every version has the matrix, the first ones have no other trace of these two.
    """
    confusion = np.array(figures["confusion"])
    malignant = np.delete(confusion, BENIGN_INDEX, axis=0)
    caught = malignant.sum() - malignant[:, [BENIGN_INDEX, REFUSED]].sum()
    right = np.diagonal(confusion)
    total = confusion.sum(axis=1) + confusion[:, :REFUSED].sum(axis=0)
    return {
        "malignant sensitivity": float(caught / malignant.sum()),
        "macro-F1": float(np.mean(2 * right / np.maximum(total, 1))),
    }
