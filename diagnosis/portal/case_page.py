"""What the page of one case shows, as its reader may see it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.conf import settings
from django.core.paginator import Page
from django.http import HttpRequest

from diagnosis.cases.blinding import conceal_cases
from diagnosis.cases.corrections import corrections_of_specimen
from diagnosis.cases.reading_order import next_unread
from diagnosis.cases.selectors import case_of, latest_reviews
from diagnosis.cases.services import image_damaged
from diagnosis.core.aggregate import FieldCounts
from diagnosis.fields import selectors
from diagnosis.models import Case, Diagnosis, Priority, Review
from diagnosis.portal import wording
from diagnosis.portal.sign_state import sign_state
from diagnosis.storage.images import damaged_of_specimen
from patients.models import Patient, Specimen


@dataclass(frozen=True)
class CasePage:
    """Everything the page says of a case; where the first read is blinded, nothing of the answer.

    Attributes:
        case: ``None`` before the first field came; concealed where the reader may not see it.
        signing: what ``sign_state`` gives; empty without a case.
        fields: the page's fields in reading order, each with the reading that counts, if it may
            be told.
        counts: fields by outcome, as far as they may be told.
        usable, own_read: fields that count for the case, and those of them the reader has read.
        total, done: fields, and those of them that no longer wait for the model.
        damaged, damage: fields whose stored image is not as it was stored, and a sentence each.
    """

    specimen: Specimen
    patient: Patient
    case: Case | None
    case_title: str
    case_rule: str
    preliminary: str
    signing: Mapping[str, Any]
    page_obj: Page[Diagnosis]
    fields: list[tuple[Diagnosis, Review | None]]
    counts: dict[str, int]
    usable: int
    own_read: int
    total: int
    done: int
    next_unread: int | None
    damaged: list[Diagnosis]
    damage: list[str]
    corrections: list[Any]
    priorities: list[tuple[Any, Any]]
    blinded: bool

    def context(self) -> dict[str, Any]:
        """For templates: each attribute by its name, and what ``signing`` holds beside them."""
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, **self.signing}


def case_page(request: HttpRequest, specimen: Specimen, page: Page[Diagnosis]) -> CasePage:
    """The page of ``specimen``'s case for the user of ``request``.

    Args:
        page: its fields in reading order, the answers kept from the reader taken out.
    """
    case = case_of(specimen)
    counts = case.counts if case else FieldCounts()
    readings = latest_reviews(page)
    kinds = _counts(specimen, counts, request)
    damaged = damaged_of_specimen(specimen.pk)
    signing = sign_state(case, request.user, damaged) if case else {}
    if case:
        conceal_cases([case], request.user)
    return CasePage(
        specimen=specimen,
        patient=specimen.patient,
        case=case,
        case_title=wording.case_title(case) if case else "",
        case_rule=wording.case_rule(case, settings.MIN_USABLE_FIELDS) if case else "",
        preliminary=str(wording.PRELIMINARY),
        signing=signing,
        page_obj=page,
        # What people said would tell what the software says.
        fields=[(row, None if row.concealed else readings.get(row.pk)) for row in page],
        counts=kinds,
        usable=counts.usable,
        own_read=counts.usable - kinds.get("unread", 0),
        total=counts.total,
        done=counts.total - counts.waiting,
        next_unread=next_unread(specimen.pk, request.user),
        damaged=damaged,
        damage=[image_damaged(field) for field in damaged],
        corrections=wording.corrections(corrections_of_specimen(specimen)),
        priorities=Priority.choices,
        blinded=settings.BLINDED_FIRST_READ,
    )


def _counts(specimen: Specimen, counts: FieldCounts, request: HttpRequest) -> dict[str, int]:
    """A case's fields by outcome, of which the case's own row knows as much as may be told."""
    if settings.BLINDED_FIRST_READ:
        return selectors.outcome_counts(selectors.diagnoses_of_specimen(specimen), request.user)
    return {name: number for name, number in asdict(counts).items() if number}
