"""What the pages say about a diagnosis, in words and figures a clinician reads.

The ground rules: the headline comes first and the model's category second; the category is a
label of the data set and is printed as such; *Benign* means haematogones in that data set and
says nothing about anybody's health.
"""

from dataclasses import dataclass
from typing import Any

from diagnosis.imaging.contract import BENIGN, LABELS, ModelContract
from diagnosis.models import Case, Diagnosis
from diagnosis.reports.wording import PRELIMINARY as PRELIMINARY
from diagnosis.reports.wording import (
    category,
    check_label,
    figures,
    percent,
    rule_sentence,
)
from diagnosis.state import Headline, Status

# Title and sentence by ``headline``.
VERDICTS = {
    "suspicious": (
        "Suspicious",
        "The model finds the appearance of leukaemic blasts in this field likely; a qualified "
        "reader must look at the smear.",
    ),
    "not_suspicious": (
        "Not suspicious",
        "The model finds nothing suspicious in this field; this does not exclude disease and "
        "must not delay microscopy, flow cytometry or referral.",
    ),
    "indeterminate": (
        "Indeterminate",
        "The model cannot tell for this field; a qualified reader must judge it.",
    ),
    "rejected": (
        "Rejected",
        "The model did not judge this image, because it is not a usable photograph of a blood "
        "smear field.",
    ),
    "waiting": (
        "Waiting for the model",
        "The image is stored; this page shows the result as soon as the model has answered.",
    ),
    "failed": (
        "Failed",
        "The image is stored, but no result could be made.",
    ),
}

_FAILURES = {
    "model_unavailable": "The model could not be reached after several attempts.",
    "gave_up": "Every attempt ended before the model could answer.",
    "image_file_unreadable": "The stored image file could not be read.",
    "internal_error": "The software met an error it did not expect.",
}


@dataclass(frozen=True)
class Bar:
    """One labelled figure with its bar.

    Attributes:
        label: what is measured.
        text: the figure as printed.
        value: length of the bar, in [0, 1].
        tick: the limit on the same scale, or ``None``.
        limit: the limit as printed, or "".
        passed: whether the limit is kept; ``True`` where there is none.
        fix: what to do if it is not kept.
        top: whether it is the one to look at first.
    """

    label: str
    text: str
    value: float
    tick: float | None = None
    limit: str = ""
    passed: bool = True
    fix: str = ""
    top: bool = False


def headline(diagnosis: Diagnosis) -> str:
    """Key of ``VERDICTS``: the outcome, or why there is none yet."""
    if diagnosis.outcome:
        return diagnosis.outcome
    return "failed" if diagnosis.status == Status.FAILED else "waiting"


def case_rule(case: Case, minimum: int) -> str:
    """The rule that decided what the software says of a case, with this case's figures."""
    return rule_sentence(case.rule, case.counts, minimum)


def failure_sentence(code: str) -> str:
    """Why a diagnosis failed."""
    return _FAILURES.get(code, "The stored image could not be decoded.")


def malignant_share(diagnosis: Diagnosis) -> float | None:
    """m = 1 − P(Benign): the probability of the three malignant categories together."""
    if not diagnosis.probabilities:
        return None
    return 1 - diagnosis.probabilities[BENIGN]


def probability_bars(diagnosis: Diagnosis) -> list[Bar]:
    """One bar per class, in the labels' fixed order (MySQL's JSON forgets the stored one)."""
    found: dict[str, float] = diagnosis.probabilities or {}
    names = [*(name for name in LABELS if name in found), *sorted(found.keys() - set(LABELS))]
    return [
        Bar(
            label=name,
            text=percent(found[name]),
            value=found[name],
            top=name == diagnosis.predicted_class,
        )
        for name in names
    ]


def check_bars(diagnosis: Diagnosis) -> list[Bar]:
    """One bar per input check, its threshold as the tick."""
    return [_check_bar(check) for check in _checks(diagnosis)]


def failed_checks(diagnosis: Diagnosis) -> list[Bar]:
    """The checks that refused the image."""
    return [bar for bar in check_bars(diagnosis) if not bar.passed]


def domain_bar(diagnosis: Diagnosis, contract: ModelContract | None) -> Bar | None:
    """How far the field lies from the training images, against the version's limit."""
    score = diagnosis.ood_score
    if score is None:
        return None
    if contract is None or contract.ood_max <= 0:
        return Bar(label="Distance from training images", text=f"{score:.3g}", value=0)
    scale = 2 * contract.ood_max
    return Bar(
        label="Distance from training images",
        text=f"{score:.3g}",
        value=_clip(score / scale),
        tick=0.5,
        limit=f"at most {contract.ood_max:.3g}",
        passed=score <= contract.ood_max,
    )


def why_class_and_outcome_differ(diagnosis: Diagnosis, contract: ModelContract | None) -> str:
    """Why the headline is not what the most probable class alone suggests; "" if it is."""
    share = malignant_share(diagnosis)
    if not diagnosis.class_and_outcome_differ or share is None:
        return ""
    label, together = category(diagnosis.predicted_class), percent(share)
    if diagnosis.outcome == Headline.INDETERMINATE:
        return _why_indeterminate(diagnosis, contract, label, together)
    if diagnosis.outcome == Headline.SUSPICIOUS:
        limit = f" ({percent(contract.suspicious_min)})" if contract else ""
        return (
            f"{label} is the most probable single category, but the three malignant categories "
            f"together reach {together}, which is above the limit for suspicious{limit}."
        )
    limit = f" ({percent(contract.not_suspicious_max)})" if contract else ""
    return (
        f"{label} is the most probable single category, but the three malignant categories "
        f"together reach only {together}, which is below the limit for not suspicious{limit}."
    )


def _why_indeterminate(
    diagnosis: Diagnosis, contract: ModelContract | None, label: str, together: str
) -> str:
    score = diagnosis.ood_score
    if contract is None or score is None:
        return (
            f"{label} is the most probable category, but the model is not sure enough of it, or "
            "the image is too unlike the images the model was trained on."
        )
    if score > contract.ood_max:
        return (
            f"{label} is the most probable category, but the image is unlike the images the "
            f"model was trained on (distance {score:.3g}, limit {contract.ood_max:.3g}), so "
            "its probabilities cannot be relied on."
        )
    return (
        f"{label} is the most probable category, but the malignant categories together reach "
        f"{together}: between the limits for not suspicious "
        f"({percent(contract.not_suspicious_max)} at most) and suspicious "
        f"({percent(contract.suspicious_min)} at least)."
    )


def _checks(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return (diagnosis.validation or {}).get("checks", [])


def _check_bar(check: dict[str, Any]) -> Bar:
    # Scores have different ranges. A share keeps its own scale; elsewhere, and where the
    # threshold would sit too near the left edge to be seen, the tick stands in the middle.
    score, threshold = float(check["score"]), float(check["threshold"])
    text, limit = figures(score, threshold)
    scale = 1.0 if 0.25 <= threshold <= 1 or threshold <= 0 else 2 * threshold
    return Bar(
        label=check_label(check["name"]),
        text=text,
        value=_clip(score / scale),
        tick=_clip(threshold / scale),
        limit=f"at least {limit}",
        passed=bool(check["passed"]),
        fix=check["fix"],
    )


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)
