"""Reading cases; nothing here writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from diagnosis.models import Case, Diagnosis, Review
from diagnosis.state import CaseHeadline, Status
from patients.models import Specimen
from patients.selectors import FEW, specimens_found, words_of_specimen

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

ORDER = ("closed", "calm", "priority", "created_at", "id")


@dataclass(frozen=True)
class CaseFilter:
    """Which cases the work list shows; what is empty does not narrow it, the rest combines.

    Attributes:
        search: words to find in accession number, record number or name of the patient.
        status: a ``CaseStatus``, or one of ``OPEN``, ``CLOSED`` and ``ANY``; empty for what is
            open, and with a search for any.
        priority: a ``Priority``.
        headline: a ``CaseHeadline``.
        assignee: ``MINE`` or ``NOBODY``.
        received_from, received_to: first and last day, in the current time zone.
    """

    search: str = ""
    status: str = ""
    priority: int | None = None
    headline: str = ""
    assignee: str = ""
    received_from: date | None = None
    received_to: date | None = None


@dataclass(frozen=True)
class View:
    """One way to look at the work list.

    Attributes:
        title: as shown.
        query: values of ``CaseFilter``, as in an address.
    """

    title: "StrPromise"
    query: Mapping[str, str]


OPEN, CLOSED, ANY = "open", "closed", "any"
MINE, NOBODY = "mine", "nobody"
VIEWS: dict[str, View] = {
    "mine": View(_("Mine"), {"assignee": MINE}),
    "nobody": View(_("Nobody’s"), {"assignee": NOBODY}),
    "suspicious": View(_("Suspicious"), {"headline": CaseHeadline.SUSPICIOUS}),
    "indeterminate": View(_("Indeterminate"), {"headline": CaseHeadline.INDETERMINATE}),
    "waiting": View(_("Waiting"), {"headline": CaseHeadline.WAITING}),
    "not_suspicious": View(_("Not suspicious"), {"headline": CaseHeadline.NOT_SUSPICIOUS}),
    "closed": View(_("Signed"), {"status": CLOSED}),
}


@dataclass(frozen=True)
class CasePage:
    """One page of the work list.

    Attributes:
        cases: its rows.
        after: where the next page begins; empty on the last.
    """

    cases: list[Case]
    after: str


def case_of(specimen: Specimen) -> Case | None:
    """The case of a specimen; ``None`` before its first field."""
    return Case.objects.select_related("assignee").filter(specimen=specimen).first()


def reviews_of(diagnosis: Diagnosis) -> list[Review]:
    """What people said of a field, the latest first; it is the one that counts."""
    return list(diagnosis.reviews.select_related("reviewer").order_by("-id"))


def next_unreviewed(diagnosis: Diagnosis) -> Diagnosis | None:
    """The next field of the same case that nobody has reviewed, beginning again at its first."""
    left = Diagnosis.objects.filter(
        specimen=diagnosis.specimen_id, status=Status.SCREENED, reviews__isnull=True
    ).order_by("id")
    return left.filter(pk__gt=diagnosis.pk).first() or left.first()


def case_search(*, wanted: CaseFilter, user: AbstractBaseUser) -> QuerySet[Case]:
    """Cases for the work list, each with specimen, patient and assignee.

    Args:
        user: who looks, and whose cases are ``MINE``.
    """
    cases = Case.objects.select_related("specimen__patient", "assignee")
    cases = cases.filter(_of_status(wanted), _received(wanted))
    if wanted.priority is not None:
        cases = cases.filter(priority=wanted.priority)
    if wanted.headline:
        cases = cases.filter(headline=wanted.headline)
    if wanted.assignee:
        cases = cases.filter(assignee=user.pk if wanted.assignee == MINE else None)
    if wanted.search:
        specimens, more = specimens_found(wanted.search, limit=FEW)
        cases = cases.filter(
            words_of_specimen(wanted.search, "specimen") if more else Q(specimen__in=specimens)
        )
    return cases


def _of_status(wanted: CaseFilter) -> Q:
    status = wanted.status or (ANY if wanted.search else OPEN)
    if status == ANY:
        return Q()
    if status in (OPEN, CLOSED):
        return Q(closed=int(status == CLOSED))
    return Q(status=status)


def _received(wanted: CaseFilter) -> Q:
    """By what the list shows: when the specimen came, or else its first field."""
    which = Q()
    for lookup, day, days in (("gte", wanted.received_from, 0), ("lt", wanted.received_to, 1)):
        if day is not None:
            midnight = timezone.make_aware(datetime.combine(day, time.min)) + timedelta(days=days)
            which &= Q(**{f"specimen__received_at__{lookup}": midnight}) | Q(
                **{"specimen__received_at": None, f"created_at__{lookup}": midnight}
            )
    return which


def cases_page(cases: QuerySet[Case], *, after: str, size: int) -> CasePage:
    """The next ``size`` of ``cases``: open before signed, those that need a person first, then by
    priority, then the oldest.

    A page by key, not by offset: neither its cost nor its rows move as cases come in.

    Args:
        after: of the page before; what is no such key begins at the beginning.
    """
    rows = cases.order_by(*ORDER)
    if key := _read_key(after):
        rows = rows.filter(_behind(key))
    found = list(rows[: size + 1])
    more = len(found) > size
    return CasePage(found[:size], _key(found[size - 1]) if more else "")


def _key(case: Case) -> str:
    return "_".join(
        (
            str(case.closed),
            str(case.calm),
            str(case.priority),
            case.created_at.isoformat(),
            str(case.pk),
        )
    )


def _read_key(text: str) -> tuple[int, int, int, datetime, int] | None:
    parts = text.split("_")
    if len(parts) != len(ORDER):
        return None
    closed, calm, priority, created, pk = parts
    try:
        moment = parse_datetime(created)
        numbers = [int(part) for part in (closed, calm, priority, pk)]
    except ValueError:
        return None
    if moment is None:
        return None
    return numbers[0], numbers[1], numbers[2], moment, numbers[3]


def _behind(key: tuple[int, int, int, datetime, int]) -> Q:
    """Rows after ``key`` in ``ORDER``."""
    behind, same = Q(), Q()
    for name, value in zip(ORDER, key, strict=True):
        behind |= same & Q(**{f"{name}__gt": value})
        same &= Q(**{name: value})
    return behind
