"""What the report says, and the sentences that the pages share with it.

The report is in English whatever its reader's pages speak (``sheet`` sees to it); only what the
pages share is marked for translation.

The ground rules: the reader's word comes first and the software's second; the model's category is
a label of the data set and is printed as such; *Benign* means haematogones in that data set and
says nothing about anybody's health.
"""

from django.utils.formats import get_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from diagnosis.core.aggregate import FieldCounts, Rule
from diagnosis.core.colour_profiles import conversion as colour
from diagnosis.core.state import CaseHeadline, Headline, Meaning

LANGUAGE = "en-gb"  # of the report, whatever the reader's pages speak

PRELIMINARY = _("Preliminary – AI, unverified")
BANNERS = {
    "preliminary": "PRELIMINARY – AI, UNVERIFIED",
    "final": "FINAL",
    "amended": "AMENDED",
}

TITLE = "Report on blood-smear fields"
DEMONSTRATION = "DEMONSTRATION – drawn, not a patient"
NOT_STATED = "not stated"

NOTES = {
    "preliminary": "Nobody has signed this. What the software suggests has not been verified.",
    "signed_in_part": "Signed by {signed} of the {needed} people whose signatures are asked for:",
    "final": "FINAL means that the reader's reading of these fields is complete.",
    "amended": "This report replaces report {number} (report hash {hash}).",
    "to_amend": "Once signed, this report replaces report {number} (report hash {hash}).",
    "opened": "Opened again by {name}, {at}. Reason:",
}

HEADINGS = {
    "who": "Patient and specimen",
    "conclusion": "Conclusion of the reader",
    "suggestion": "Suggestion of the software",
    "fields": "Fields",
    "withdrawn": "Withdrawn fields",
    "model": "Model {title}",
    "limits": "Known limits",
    "signatures": "Signatures",
    "hash": "Report hash",
}
COLUMNS = {
    "number": "No.",
    "field": "Field",
    "software": "Software, with calibrated probabilities",
    "reader": "Reader",
}
HEADLINES: dict[str, str] = {
    Headline.SUSPICIOUS: "Suspicious",
    Headline.NOT_SUSPICIOUS: "Not suspicious",
    Headline.INDETERMINATE: "Indeterminate",
}
WAITING = "Waiting for the model"
LABELS = {
    "name": "Patient",
    "medical_record_number": "Medical record number",
    "date_of_birth": "Date of birth",
    "sex": "Sex",
    "accession_number": "Accession number",
    "site": "Specimen",
    "stain": "Stain",
    "objective": "Magnification (objective)",
    "collected_at": "Collected",
    "received_at": "Received",
    "architecture": "Architecture",
    "digest": "Digest (of its contract)",
    "bounds": "Bounds and preprocessing",
    **HEADLINES,  # their bounds
    "preprocessing": "Preprocessing",
    "training": "Training data digest",
}
VERSION = "{name}, version {version}"
PAGE_OF = "Page {number} of "
BELONGS_TO = "Accession {accession} · report {number} · hash {hash}…"
FILE_TITLE = "{title} {accession}, report {number}"

CONCLUSIONS = {**HEADLINES, CaseHeadline.WAITING: WAITING}
NOT_EXCLUDED = (
    "This does not exclude disease and must not delay microscopy, flow cytometry or referral."
)
NO_CONCLUSION = "No reader has concluded on this case yet."
AGREES = "Agrees with what the software suggests ({suggestion})."
OVERRIDES = "Overrides what the software suggests ({suggestion}). Reason:"
CONCLUDED_BY = "Concluded by {name}, {at}."
SUGGESTED_BY = "Suggested by software from the fields below; not a diagnosis."

OUTCOMES = {
    **HEADLINES,
    Headline.REJECTED: "Refused: not used",
    "received": WAITING,
    "failed": "Failed: no result could be made",
}
CATEGORY = ("Model category ", " (data-set label; immunophenotyping required)")
CATEGORY_BENIGN = (
    "Model category ",
    " (in this data set: haematogones, benign B-cell precursors; data-set label; "
    "immunophenotyping required)",
)
OUT_OF_DOMAIN = (
    "Distance from the training images {score}, limit {limit}: the probabilities cannot be relied "
    "on."
)
DISTANCE = "Distance from the training images {score}."
FAILED_CHECK = "{label}: {score}, at least {limit} needed. {fix}"

CORRECTED_BY = "Corrected by {name}, {at}:"
CORRECTED = "{label}: {before}, corrected to {after}"
WITHDRAWN = (
    "Field {number} ({file_name}, sha256 {hash}…) was withdrawn from this case by {name}, {at}; it "
    "is not used. Reason:"
)
NO_FILE_NAME = "without a file name"

SIZE = "{width} × {height} pixels"
READ_AS = "Read as {category}"
READINGS = {
    "agree": "Agreed: {category}",
    "override": "Changed to {category}",
    "unusable": "Unusable",
}
NOT_READ = "Not read"
NO_READING_NEEDED = "Needs no reading"
REASON = "Reason:"
COMMENT = "Comment:"
BLINDED = "Read before the software's answer was shown."
EARLIER = "Earlier readings of this field in the record: {count}."
IMAGE_MISSING = "Image missing: the stored file is not the one that was judged."

USED = "{usable} used, {rejected} refused, {failed} failed, {waiting} waiting; {total} in all"
SUSPICIOUS_FROM = "m from {value}; m is the probability of the three malignant categories together"
NOT_SUSPICIOUS_TO = "m up to {value}"
INDETERMINATE_BETWEEN = "between the two, or distance from the training images above {value}"
NO_BOUNDS = "not available: the model store no longer holds this version"
PREPROCESSING = (
    "whole field resized to {width} × {height} pixels; rows {top}–{bottom}, columns {left}–{right} "
    "covered (the scale-bar corner); version = digest of the contract"
)
LIMITS = (
    "Trained on fields of one hospital, one stain and one camera, from few patients. Smears of "
    "other laboratories are outside the model's domain, whatever they show.",
    "Benign means haematogones (benign B-cell precursors that resemble blasts) in the data set; it "
    "does not mean that a smear is free of disease.",
    "Early Pre-B, Pre-B and Pro-B are labels of the data set, not entities of the WHO or ICC "
    "classifications; texts disagree on which is which, and immunophenotyping decides.",
    "Probabilities are calibrated on fields of that hospital. With so few patients the bounds "
    "carry no guarantee for a new one. Figures with their intervals stand in the model card "
    "(docs/model.md).",
)

# What a signature says, in the signer's words.
MEANINGS = {
    Meaning.REVIEW: _(
        "Review: I have read every usable field of this case, and the conclusion is mine."
    ),
    Meaning.APPROVAL: _(
        "Approval: I have checked the readings and the conclusion of this case, and agree with "
        "them."
    ),
}
NO_SIGNATURE = "No signature."
HASH = (
    "sha256 of the canonical JSON of this case (report number {number}). Every signature above "
    "stands under exactly this content."
)
CODE_POINTS = (
    "[U+…] stands for a character that the font of this report cannot draw, by its Unicode code "
    "point."
)

# By which rule the software says what it says of a case; see ``diagnosis.core.aggregate``.
_RULES = {
    Rule.SUSPICIOUS_FIELD: ngettext_lazy(
        "One suspicious field is enough to make the case suspicious, and {suspicious} of {usable} "
        "usable fields is.",
        "One suspicious field is enough to make the case suspicious, and {suspicious} of {usable} "
        "usable fields are.",
        "suspicious",
    ),
    Rule.FIELDS_WAIT: _(
        "Nothing is concluded while fields wait for the model: {waiting} of {total}."
    ),
    Rule.TOO_FEW_FIELDS: ngettext_lazy(
        "With fewer than {minimum} usable fields nothing is concluded, and there is {usable}.",
        "With fewer than {minimum} usable fields nothing is concluded, and there are {usable}.",
        "usable",
    ),
    Rule.INDETERMINATE_FIELD: _(
        "No field is suspicious, but of {indeterminate} of {usable} usable fields the model cannot "
        "tell."
    ),
    Rule.ALL_NOT_SUSPICIOUS: _(
        "All {usable} usable fields are not suspicious; at least {minimum} are needed. This does "
        "not exclude disease and must not delay microscopy, flow cytometry or referral."
    ),
}

_CHECKS = {
    "colour_histogram": _("Colours of a stained smear"),
    "size": _("Image size, shorter side in pixels"),
    "aspect": _("Shape of the image"),
    "brightness": _("Brightness of the glass"),
    "overexposure": _("Free of overexposure"),
    "focus": _("Focus"),
    "field_content": _("Cells in the field"),
    "nucleated_cells": _("Nucleated cells"),
    "structure": _("Structure of cells"),
    "straight_edges": _("Free of text, frames and tiles"),
}


_FAILURES = {
    "model_unavailable": _("The model could not be reached after several attempts."),
    "gave_up": _("Every attempt ended before the model could answer."),
    "image_file_unreadable": _("The stored image file could not be read."),
    "image_file_damaged": _("The stored image file is not the one that was uploaded."),
    "internal_error": _("The software met an error it did not expect."),
}


_COLOURS_CONVERTED = _("Colours converted to sRGB from “{profile}”.")
_PROFILE_IGNORED = {
    colour.BROKEN: _("The file’s colour profile was ignored: it is broken."),
    colour.OTHER_PIXELS: _("The file’s colour profile was ignored: it is for other pixels."),
    colour.ABSURD: _("The file’s colour profile was ignored: no camera has such colours."),
    colour.TOO_LARGE: _("The file’s colour profile was ignored: it is too large."),
}


def colour_sentence(note: str) -> str:
    """What was done about a field's colour profile (``Diagnosis.colour_conversion``), or ""."""
    if note.startswith(colour.CONVERTED):
        return str(_COLOURS_CONVERTED).format(profile=note.removeprefix(colour.CONVERTED))
    return str(_PROFILE_IGNORED.get(note.removeprefix(colour.IGNORED), note))


def category(label: str | None) -> str:
    """The short name of a class: ``Pre-B`` for ``Malignant Pre-B``."""
    return (label or "").removeprefix("Malignant ")


def percent(share: float | None) -> str:
    """``97.3 %``, ``97,3 %``; what is not exactly 0 or 1 is never rounded to it."""
    if share is None:
        return ""
    if 0 < share < 0.001:
        return figure("<\N{NO-BREAK SPACE}0.1\N{NO-BREAK SPACE}%")
    if 0.999 < share < 1:
        return figure(">\N{NO-BREAK SPACE}99.9\N{NO-BREAK SPACE}%")
    return figure(f"{100 * share:.1f}\N{NO-BREAK SPACE}%")


def check_label(name: str) -> str:
    """A check's name in words."""
    return str(_CHECKS.get(name, name.replace("_", " ").capitalize()))


def rule_sentence(rule: str, counts: FieldCounts, minimum: int) -> str:
    """The rule that decided what the software says of a case, with this case's figures."""
    return _RULES[Rule(rule)].format(
        suspicious=counts.suspicious,
        indeterminate=counts.indeterminate,
        waiting=counts.waiting,
        usable=counts.usable,
        total=counts.total,
        minimum=minimum,
    )


def figures(score: float, threshold: float) -> tuple[str, str]:
    """Both as printed, with as many decimals (2 to 4) as it takes to see which is larger.

    Whole numbers, as of pixels, have none.
    """
    if abs(threshold) >= 100:
        return f"{score:.0f}", f"{threshold:.0f}"
    for decimals in (2, 3, 4):
        texts = f"{score:.{decimals}f}", f"{threshold:.{decimals}f}"
        if texts[0] != texts[1] and float(texts[1]) == round(threshold, 4):
            break
    return figure(texts[0]), figure(texts[1])


def figure(text: str) -> str:
    """``text``, its decimal point as the language writes it."""
    return text.replace(".", str(get_format("DECIMAL_SEPARATOR")))


def failure_sentence(code: str) -> str:
    """Why a diagnosis failed."""
    return str(_FAILURES.get(code, _("The stored image could not be decoded.")))
