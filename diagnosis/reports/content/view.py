"""What stands on a report, in words and in its order; PDF and HTML only lay it out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.dateformat import format as format_date

from diagnosis.core.aggregate import FieldCounts
from diagnosis.core.state import CaseHeadline, Meaning
from diagnosis.models import Signature
from diagnosis.reports import wording
from diagnosis.reports.content.corrected import changed
from diagnosis.reports.content.field_rows import FieldRow, field_row
from diagnosis.reports.content.snapshot import Document, content_sha256
from patients.models import Objective, Sex, Site, Stain
from webapp.text.clock import offset, on_clock
from webapp.text.typed import isolated


@dataclass(frozen=True)
class Fact:
    """One line of a block of facts."""

    label: str
    value: str


@dataclass(frozen=True)
class Line:
    """A paragraph; ``typed`` by a person, it must not be taken for the report's own words."""

    text: str
    typed: bool = False


@dataclass(frozen=True)
class Signed:
    """One signature as 21 CFR 11.50 wants it printed: who, when, with what meaning."""

    name: str
    at: str
    meaning: str


@dataclass(frozen=True)
class Sheet:
    """A report, ready to be laid out.

    Attributes:
        state: ``preliminary``, ``final`` or ``amended``.
        banner: the same in the words of the banner.
        notes: what stands under the banner, a paragraph each.
        demonstration: the mark of a patient who does not exist, or "".
        conclusion: the reader's headline, or that there is none.
        conclusion_key: the same as in the content, or "".
        conclusion_lines: who concluded, whether it agrees, why not; a paragraph each.
        software: the software's headline; ``software_key`` as in the content.
        models: title and facts of each version that answered.
        sha256: of the content, hexadecimal.
        withdrawn: fields that were taken out of the case, by whom and why; a paragraph each.
    """

    laboratory: str
    accession: str
    number: int
    state: str
    banner: str
    notes: list[Line]
    demonstration: str
    patient: list[Fact]
    specimen: list[Fact]
    conclusion: str
    conclusion_key: str
    conclusion_lines: list[Line]
    software: str
    software_key: str
    software_lines: list[str]
    fields: list[FieldRow]
    used: str
    models: list[tuple[str, list[Fact]]]
    limits: Sequence[str]
    signatures: list[Signed]
    sha256: str
    hash_note: str
    withdrawn: list[Line]


def sheet(content: Document, signatures: Sequence[Signature], *, preliminary: bool) -> Sheet:
    """The report on ``content``.

    Args:
        signatures: those under exactly this content, the first signer's first.
        preliminary: a signature is still missing. What nobody has signed is preliminary whatever
            is said here.
    """
    with translation.override(wording.LANGUAGE):
        preliminary = preliminary or not signatures or not content["conclusion"]
        amends = content["report"]["amends"]
        state = "preliminary" if preliminary else "amended" if amends else "final"
        suggestion = wording.CONCLUSIONS[content["software"]["headline"]]
        key = (content["conclusion"] or {}).get("headline", "")
        return Sheet(
            laboratory=content["laboratory"],
            accession=content["specimen"]["accession_number"],
            number=content["report"]["number"],
            state=state,
            banner=wording.BANNERS[state],
            notes=_notes(state, amends, signatures),
            demonstration=wording.DEMONSTRATION if content["patient"].get("demonstration") else "",
            patient=_patient(content["patient"]),
            specimen=_specimen(content["specimen"]),
            conclusion=wording.CONCLUSIONS[key] if key else wording.NO_CONCLUSION,
            conclusion_key=key,
            conclusion_lines=_conclusion(content["conclusion"], suggestion),
            software=suggestion,
            software_key=content["software"]["headline"],
            software_lines=_software(content["software"]),
            fields=_fields(content),
            used=_used(content["software"]["counts"]),
            models=[_model(model) for model in content["models"]],
            limits=wording.LIMITS,
            signatures=[_signed(signature) for signature in signatures],
            sha256=content_sha256(content),
            hash_note=wording.HASH.format(number=content["report"]["number"]),
            withdrawn=_withdrawn(content.get("withdrawn", [])),
        )


def moment(at: str | datetime | None) -> str:
    """A time in the laboratory's zone, which is named: ``25 Nov 2026, 19:42 +00:00 (UTC)``."""
    if at is None:
        return wording.NOT_STATED
    parsed = datetime.fromisoformat(at) if isinstance(at, str) else at
    local = on_clock(parsed)
    zone = "UTC" if local.tzinfo is UTC else settings.TIME_ZONE
    return f"{format_date(local, 'j M Y, H:i')} {offset(local)} ({zone})"


def _notes(state: str, amends: Document | None, signatures: Sequence[Signature]) -> list[Line]:
    notes = []
    if state == "final":
        notes.append(Line(wording.NOTES["final"]))
    if state == "preliminary" and not signatures:
        notes.append(Line(wording.NOTES["preliminary"]))
    if state == "preliminary" and signatures:
        needed = max(settings.SIGNATURES_REQUIRED, len(signatures))
        text = wording.NOTES["signed_in_part"].format(signed=len(signatures), needed=needed)
        names = [f"{isolated(one.printed_name)}, {moment(one.signed_at)}" for one in signatures]
        notes += [Line(text), *map(Line, names)]
    if amends:
        number, digest = amends["number"], amends["content_sha256"][:16] + "…"
        which = "amended" if state == "amended" else "to_amend"
        opened = {"name": isolated(amends["author"]["name"]), "at": moment(amends["at"])}
        notes += [
            Line(wording.NOTES[which].format(number=number, hash=digest)),
            Line(wording.NOTES["opened"].format(**opened)),
            Line(amends["reason"], typed=True),
        ]
        for correction in amends.get("corrections", []):
            notes += _corrected(correction, amends["reason"])
    return notes


def _corrected(correction: Document, said: str) -> list[Line]:
    """What was corrected, from what to what; the reason, unless it is ``said`` already."""
    name, at = correction["author"]["name"], moment(correction["at"])
    lines = [Line(wording.CORRECTED_BY.format(name=name, at=at))]
    lines += [
        Line(wording.CORRECTED.format(label=one.label, before=one.before, after=one.after))
        for one in changed(correction["changes"], moment)
    ]
    if correction["reason"] != said:
        lines += [Line(wording.REASON), Line(correction["reason"], typed=True)]
    return lines


def _withdrawn(fields: Sequence[Document]) -> list[Line]:
    lines = []
    for field in fields:
        which = wording.WITHDRAWN.format(
            number=field["number"],
            file_name=field["file_name"] or wording.NO_FILE_NAME,
            hash=field["image_sha256"][:8],
            name=field["author"]["name"],
            at=moment(field["at"]),
        )
        lines += [Line(which), Line(field["reason"], typed=True)]
    return lines


def _patient(patient: Document) -> list[Fact]:
    born = patient["date_of_birth"]
    return _facts(
        name=patient["name"],
        medical_record_number=patient["medical_record_number"],
        date_of_birth=format_date(date.fromisoformat(born), "j M Y")
        if born
        else wording.NOT_STATED,
        sex=_label(Sex, patient["sex"]),
    )


def _specimen(specimen: Document) -> list[Fact]:
    return _facts(
        accession_number=specimen["accession_number"],
        site=_label(Site, specimen["site"]),
        stain=_label(Stain, specimen["stain"]),
        objective=_label(Objective, specimen["objective"]),
        collected_at=moment(specimen["collected_at"]),
        received_at=moment(specimen["received_at"]),
    )


def _facts(**values: str) -> list[Fact]:
    return [Fact(wording.LABELS[name], value) for name, value in values.items()]


def _label(choices: Any, value: str) -> str:
    """The words of a choice; of one that has gone since, its value."""
    return str(dict(choices.choices).get(value, value))


def _conclusion(conclusion: Document | None, suggestion: str) -> list[Line]:
    if conclusion is None:
        return []
    name, at = isolated(conclusion["author"]["name"]), moment(conclusion["at"])
    lines = [Line(wording.CONCLUDED_BY.format(name=name, at=at))]
    if conclusion["headline"] == CaseHeadline.NOT_SUSPICIOUS:
        lines.append(Line(wording.NOT_EXCLUDED))
    agrees = wording.AGREES if conclusion["agrees"] else wording.OVERRIDES
    lines.append(Line(agrees.format(suggestion=suggestion)))
    if conclusion["reason"]:
        lines.append(Line(conclusion["reason"], typed=True))
    if conclusion["comment"]:
        lines += [Line(wording.COMMENT), Line(conclusion["comment"], typed=True)]
    return lines


def _software(software: Document) -> list[str]:
    counts = FieldCounts(**software["counts"])
    return [
        wording.SUGGESTED_BY,
        wording.rule_sentence(software["rule"], counts, software["minimum_usable"]),
    ]


def _used(counts: Document) -> str:
    found = FieldCounts(**counts)
    return wording.USED.format(
        usable=found.usable,
        rejected=found.rejected,
        failed=found.failed,
        waiting=found.waiting,
        total=found.total,
    )


def _fields(content: Document) -> list[FieldRow]:
    limits = {
        (model["name"], model["version"], model["digest"]): model["bounds"]["ood_max"]
        for model in content["models"]
        if model["bounds"]
    }
    return [
        field_row(field, limits.get(tuple(field["model"] or ())), moment)
        for field in content["fields"]
    ]


def _model(model: Document) -> tuple[str, list[Fact]]:
    bounds, preprocessing = model["bounds"], model["preprocessing"]
    facts = _facts(architecture=model["architecture"], digest=model["digest"])
    if bounds is None or preprocessing is None:
        facts += _facts(bounds=wording.NO_BOUNDS)
    else:
        low, high = bounds["not_suspicious_max"], bounds["suspicious_min"]
        distance = f"{bounds['ood_max']:.3g}"
        facts += _facts(
            suspicious=wording.SUSPICIOUS_FROM.format(value=wording.percent(high)),
            not_suspicious=wording.NOT_SUSPICIOUS_TO.format(value=wording.percent(low)),
            indeterminate=wording.INDETERMINATE_BETWEEN.format(value=distance),
            preprocessing=wording.PREPROCESSING.format(**preprocessing, **preprocessing["covered"]),
            training=model["training_data_digest"],
        )
    version = wording.VERSION.format(name=model["name"], version=model["version"])
    return wording.HEADINGS["model"].format(title=version), facts


def _signed(signature: Signature) -> Signed:
    return Signed(
        name=signature.printed_name,
        at=moment(signature.signed_at),
        meaning=str(wording.MEANINGS[Meaning(signature.meaning)]),
    )
