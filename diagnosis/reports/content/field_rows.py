"""One field on a report: what the software said of it, and how a person read it."""

from collections.abc import Callable
from dataclasses import dataclass

from diagnosis.core.imaging.contract import BENIGN, in_order
from diagnosis.core.imaging.validate import FIXES
from diagnosis.core.state import Status, Verdict
from diagnosis.reports import wording
from diagnosis.reports.content.snapshot import Document
from webapp.text.typed import isolated


@dataclass(frozen=True)
class Probability:
    """One class with its calibrated probability, in [0, 1] and as printed."""

    label: str
    value: float
    text: str
    top: bool


@dataclass(frozen=True)
class FieldRow:
    """A field, ready to be laid out.

    Attributes:
        id: of its diagnosis; image_sha256: of the bytes that were judged.
        outcome: the software's headline, or why there is none; ``outcome_key`` for its badge.
        category: the model's category with what goes before and after it; empty without one.
        remarks: on the answer and the picture, a sentence each.
        failed_checks: why it was refused, a sentence each.
        reading: what a person says of it, or that nobody has; then the reason as typed, and who.
    """

    number: int
    id: int
    image_sha256: str
    file_name: str
    size: str
    outcome: str
    outcome_key: str
    category: tuple[str, str, str] | None
    probabilities: list[Probability]
    remarks: list[str]
    failed_checks: list[str]
    reading: str
    reason: str
    reader: list[str]


def field_row(field: Document, ood_max: float | None, moment: Callable[[str], str]) -> FieldRow:
    """One field of a content.

    Args:
        ood_max: the limit of the version that answered, if it is known.
        moment: prints a time.
    """
    outcome = field["outcome"] or field["status"]
    reading = field["reading"]
    return FieldRow(
        number=field["number"],
        id=field["id"],
        image_sha256=field["image_sha256"],
        file_name=field["file_name"],
        size=wording.SIZE.format(width=field["width"], height=field["height"]),
        outcome=wording.OUTCOMES[outcome],
        outcome_key="waiting" if outcome == Status.RECEIVED else outcome,
        category=_category(field["predicted_class"]),
        probabilities=_probabilities(field),
        remarks=_remarks(field, ood_max),
        failed_checks=[_failed_check(check) for check in field["failed_checks"]],
        reading=_reading(field, reading),
        reason=reading["reason"] if reading else "",
        reader=_reader(reading, moment) if reading else [],
    )


def _category(label: str | None) -> tuple[str, str, str] | None:
    if not label:
        return None
    before, after = wording.CATEGORY_BENIGN if label == BENIGN else wording.CATEGORY
    return before, wording.category(label), after


def _probabilities(field: Document) -> list[Probability]:
    return [
        Probability(
            label=label,
            value=share,
            text=wording.percent(share),
            top=label == field["predicted_class"],
        )
        for label, share in in_order(field["probabilities"] or {}).items()
    ]


def _remarks(field: Document, limit: float | None) -> list[str]:
    colours = wording.colour_sentence(field.get("colour_conversion", ""))  # newer than the form
    return [*_on_the_answer(field, limit), *([colours] if colours else [])]


def _on_the_answer(field: Document, limit: float | None) -> list[str]:
    if field["status"] == Status.FAILED:
        return [wording.failure_sentence(field["failure"])]
    score = field["ood_score"]
    if score is None:
        return []
    if limit is not None and score > limit:
        printed, at_most = wording.figures(score, limit)
        return [wording.OUT_OF_DOMAIN.format(score=printed, limit=at_most)]
    return [wording.DISTANCE.format(score=f"{score:.3g}")]


def _failed_check(check: Document) -> str:
    score, threshold = wording.figures(float(check["score"]), float(check["threshold"]))
    return wording.FAILED_CHECK.format(
        label=wording.check_label(check["name"]),
        score=score,
        limit=threshold,
        fix=FIXES.get(check["name"], ""),
    ).strip()


def _reading(field: Document, reading: Document | None) -> str:
    if reading:
        stated = reading["blinded"] and reading["verdict"] != Verdict.UNUSABLE
        words = wording.READ_AS if stated else wording.READINGS[reading["verdict"]]
        return words.format(category=wording.category(reading["label"]))
    refused = field["status"] == Status.REFUSED
    return wording.NO_READING_NEEDED if refused else wording.NOT_READ


def _reader(reading: Document, moment: Callable[[str], str]) -> list[str]:
    lines = [f"{isolated(reading['reader']['name'])}, {moment(reading['at'])}"]
    if reading["blinded"]:
        lines.append(wording.BLINDED)
    if reading["earlier"]:
        lines.append(wording.EARLIER.format(count=reading["earlier"]))
    return lines
