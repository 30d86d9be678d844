"""What the pages say about a diagnosis, in words and figures a clinician reads.

The ground rules: the headline comes first and the model's category second; the category is a
label of the data set and is printed as such; *Benign* means haematogones in that data set and
says nothing about anybody's health.

All of it is in the language of whoever looks; what the pure core said in English, and what is
stored, is looked up here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import localize
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.core.imaging.contract import BENIGN, ModelContract, in_order
from diagnosis.core.state import Headline, Meaning, Status, Verdict
from diagnosis.fields.activation import NoMap
from diagnosis.fields.intake import Refusal
from diagnosis.models import Case, Diagnosis, IdentityCorrection, Review
from diagnosis.models.labels import name_of
from diagnosis.reports.content.corrected import Changed, changed
from diagnosis.reports.content.snapshot import person
from diagnosis.reports.content.view import moment
from diagnosis.reports.wording import (
    MEANINGS,
    category,
    check_label,
    figure,
    figures,
    percent,
    rule_sentence,
)
from diagnosis.reports.wording import PRELIMINARY as PRELIMINARY
from diagnosis.reports.wording import colour_sentence as colour_sentence
from diagnosis.reports.wording import failure_sentence as failure_sentence
from webapp.domain_error import DomainError

# Title and sentence by ``headline``.
VERDICTS: dict[str, tuple[Promise, Promise]] = {
    "suspicious": (
        name_of("suspicious"),
        _(
            "The model finds the appearance of leukaemic blasts in this field likely; a qualified "
            "reader must look at the smear."
        ),
    ),
    "not_suspicious": (
        name_of("not_suspicious"),
        _(
            "The model finds nothing suspicious in this field; this does not exclude disease and "
            "must not delay microscopy, flow cytometry or referral."
        ),
    ),
    "indeterminate": (
        name_of("indeterminate"),
        _("The model cannot tell for this field; a qualified reader must judge it."),
    ),
    "rejected": (
        name_of("rejected"),
        _(
            "The model did not judge this image, because it is not a usable photograph of a blood "
            "smear field."
        ),
    ),
    "waiting": (
        _("Waiting for the model"),
        _("The image is stored; this page shows the result as soon as the model has answered."),
    ),
    "failed": (
        name_of("failed"),
        _("The image is stored, but no result could be made."),
    ),
    "withdrawn": (
        name_of("withdrawn"),
        _(
            "This field was taken out: it stays in the record, and counts neither in a case nor in "
            "a report."
        ),
    ),
    "unread": (
        name_of("unread"),
        _(
            "Your own reading comes first; what the software and other readers say of this field "
            "is shown after it."
        ),
    ),
}

_NO_MAP = {
    NoMap.VERSION_AWAY: _(
        "No activation map: version {version}, which answered, is not loaded any more."
    ),
    NoMap.CHECK_MISSING: _(
        "No activation map: nobody has checked whether those of version {version} say anything "
        "about what it learned."
    ),
    NoMap.CHECK_FAILED: _(
        "No activation map: those of version {version} did not pass their check with randomised "
        "weights, so they would say little about why it answered as it did."
    ),
    NoMap.NO_ANSWER: _("No activation map: the model gave no answer for this field."),
}

_HOUR, _DAY = 3600, 86_400
# Below so many seconds, in units of so many.
_AGES = (
    (2 * _HOUR, 60, _("%(count)d min")),
    (2 * _DAY, _HOUR, _("%(count)d h")),
    (60 * _DAY, _DAY, _("%(count)d d")),
    (730 * _DAY, 30 * _DAY, _("%(count)d months")),
    (float("inf"), 365 * _DAY, _("%(count)d years")),
)


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
    """Key of ``VERDICTS``: the outcome, or why there is none that counts."""
    if diagnosis.withdrawn:
        return "withdrawn"
    if diagnosis.concealed:
        return "unread"
    if diagnosis.outcome:
        return diagnosis.outcome
    return "failed" if diagnosis.status == Status.FAILED else "waiting"


def meaning(of: str) -> str:
    """What a signature of this kind says."""
    return str(MEANINGS[Meaning(of)])


def case_title(case: Case) -> str:
    """What the software says of a case, in a word."""
    return str(VERDICTS["unread"][0]) if case.concealed else case.get_headline_display()


def case_rule(case: Case, minimum: int) -> str:
    """The rule that decided what the software says of a case, with this case's figures."""
    if case.concealed:
        return gettext(
            "What the software says of the case is shown once you have read each of its screened "
            "fields."
        )
    return rule_sentence(case.rule, case.counts, minimum)


def refusal_message(refusal: Refusal) -> str:
    """What is wrong with a file that was not taken."""
    if isinstance(refusal, DomainError):
        return str(refusal)
    figures = {name: localize(figure) for name, figure in refusal.figures.items()}
    return gettext(refusal.template).format(**figures) if figures else gettext(refusal.template)


def refusal_fix(refusal: Refusal) -> str:
    """What to do about it."""
    return refusal.hint if isinstance(refusal, DomainError) else gettext(refusal.fix)


def reading(review: Review) -> str:
    """What a person said of a field, in a few words."""
    label = category(review.label)
    if review.verdict == Verdict.UNUSABLE:
        return gettext("Unusable")
    if review.blinded:
        return gettext("Read as {label}").format(label=label)
    if review.verdict == Verdict.AGREE:
        return gettext("Agreed: {label}").format(label=label)
    return gettext("Changed to {label}").format(label=label)


@dataclass(frozen=True)
class Correction:
    """A correction of patient or specimen, as the pages show it.

    Attributes:
        row: with specimen, patients, reason and time.
        author: by whom; empty for the system itself.
        changes: what was corrected, from what to what.
    """

    row: IdentityCorrection
    author: str
    changes: list[Changed]


def corrections(rows: Iterable[IdentityCorrection]) -> list[Correction]:
    """What was corrected, in the language of whoever looks."""
    return [
        Correction(
            row=row,
            author=person(row.author)["name"] if row.author else "",
            changes=changed(row.changes, moment),
        )
        for row in rows
    ]


def no_map(reason: NoMap, diagnosis: Diagnosis) -> str:
    """Why there is no activation map of a field."""
    return _NO_MAP[reason].format(version=diagnosis.model_version)


def malignant_share(diagnosis: Diagnosis) -> float | None:
    """m = 1 − P(Benign): the probability of the three malignant categories together."""
    if not diagnosis.probabilities:
        return None
    return 1 - diagnosis.probabilities[BENIGN]


def probability_bars(diagnosis: Diagnosis) -> list[Bar]:
    """One bar per class."""
    return [
        Bar(label=label, text=percent(share), value=share, top=label == diagnosis.predicted_class)
        for label, share in in_order(diagnosis.probabilities or {}).items()
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
        return Bar(label=gettext("Distance from training images"), text=_score(score), value=0)
    scale = 2 * contract.ood_max
    return Bar(
        label=gettext("Distance from training images"),
        text=_score(score),
        value=_clip(score / scale),
        tick=0.5,
        limit=gettext("at most {limit}").format(limit=_score(contract.ood_max)),
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
        sentence = gettext(
            "{label} is the most probable single category, but the three malignant categories "
            "together reach {together}, which is above the limit for suspicious{limit}."
        )
        limit = f" ({percent(contract.suspicious_min)})" if contract else ""
    else:
        sentence = gettext(
            "{label} is the most probable single category, but the three malignant categories "
            "together reach only {together}, which is below the limit for not suspicious{limit}."
        )
        limit = f" ({percent(contract.not_suspicious_max)})" if contract else ""
    return sentence.format(label=label, together=together, limit=limit)


def _why_indeterminate(
    diagnosis: Diagnosis, contract: ModelContract | None, label: str, together: str
) -> str:
    score = diagnosis.ood_score
    if contract is None or score is None:
        return gettext(
            "{label} is the most probable category, but the model is not sure enough of it, or "
            "the image is too unlike the images the model was trained on."
        ).format(label=label)
    if score > contract.ood_max:
        return gettext(
            "{label} is the most probable category, but the image is unlike the images the model "
            "was trained on (distance {distance}, limit {limit}), so its probabilities cannot be "
            "relied on."
        ).format(label=label, distance=_score(score), limit=_score(contract.ood_max))
    return gettext(
        "{label} is the most probable category, but the malignant categories together reach "
        "{together}: between the limits for not suspicious ({not_suspicious_max} at most) and "
        "suspicious ({suspicious_min} at least)."
    ).format(
        label=label,
        together=together,
        not_suspicious_max=percent(contract.not_suspicious_max),
        suspicious_min=percent(contract.suspicious_min),
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
        limit=gettext("at least {limit}").format(limit=limit),
        passed=bool(check["passed"]),
        fix=gettext(check["fix"]),
    )


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def age(at: datetime | None) -> str:
    """How long ago, in the largest unit that leaves a figure above one: 3 h, 2 d."""
    if at is None:
        return ""
    seconds = max(0, int((timezone.now() - at).total_seconds()))
    for limit, unit, words in _AGES:
        if seconds < limit:
            return words % {"count": seconds // unit}
    return ""


def _score(value: float) -> str:
    """Three significant digits."""
    return figure(f"{value:.3g}")
