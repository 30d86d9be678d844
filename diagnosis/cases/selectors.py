"""Reading cases; nothing here writes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import pgettext_lazy

from diagnosis.core.state import CaseHeadline
from diagnosis.models import Case, Diagnosis, Review
from diagnosis.models.labels import name_of
from patients.models import Specimen
from patients.selectors import FEW, specimens_found, words_of_specimen
from webapp.keyset import behind, first_of
from webapp.text.clock import EARLIEST_DAY, LATEST_DAY

# The second where the first read is blinded: what needs a person by the software's word stays out.
ORDER = ("closed", "calm", "priority", "created_at", "id")
BLINDED_ORDER = ("closed", "priority", "created_at", "id")


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

    title: Promise
    query: Mapping[str, str]

    @property
    def tells(self) -> bool:
        """Whether being in it tells what the software says of a case."""
        return "headline" in self.query


OPEN, CLOSED, ANY = "open", "closed", "any"
MINE, NOBODY = "mine", "nobody"
VIEWS: dict[str, View] = {
    "mine": View(pgettext_lazy("cases", "Mine"), {"assignee": MINE}),
    "nobody": View(pgettext_lazy("cases", "Nobody’s"), {"assignee": NOBODY}),
    **{
        headline.value: View(name_of(headline), {"headline": headline}) for headline in CaseHeadline
    },
    "closed": View(pgettext_lazy("cases", "Signed"), {"status": CLOSED}),
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


def latest_reviews(diagnoses: Iterable[Diagnosis]) -> dict[int, Review]:
    """The reading that counts of each of ``diagnoses`` that has one, by the field's id."""
    ids = [diagnosis.pk for diagnosis in diagnoses]
    return {r.diagnosis_id: r for r in Review.objects.filter(diagnosis__in=ids).order_by("id")}


def reviews_of(diagnosis: Diagnosis) -> list[Review]:
    """What people said of a field, the latest first; it is the one that counts."""
    return list(diagnosis.reviews.select_related("reviewer").order_by("-id"))


def views_offered() -> dict[str, View]:
    """The views of this site: where the first read is blinded, none that tells the answer."""
    return {
        name: view
        for name, view in VIEWS.items()
        if not (settings.BLINDED_FIRST_READ and view.tells)
    }


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
    priority, then the oldest. Where the first read is blinded, by priority and age alone.

    Args:
        after: of the page before; what is no such key begins at the beginning.
    """
    order = BLINDED_ORDER if settings.BLINDED_FIRST_READ else ORDER
    rows = cases.order_by(*order)
    if key := _read_key(after, order):
        rows = rows.filter(behind(key))
    found, more = first_of(rows, size)
    return CasePage(found, _key(found[-1], order) if more else "")


def _key(case: Case, order: Sequence[str]) -> str:
    values = (getattr(case, name) for name in order)
    return "_".join(v.isoformat() if isinstance(v, datetime) else str(v) for v in values)


def _read_key(text: str, order: Sequence[str]) -> dict[str, int | datetime] | None:
    parts = text.split("_")
    if len(parts) != len(order):
        return None
    key: dict[str, int | datetime] = {}
    for name, part in zip(order, parts, strict=True):
        try:
            value = parse_datetime(part) if name == "created_at" else int(part)
        except ValueError:
            return None
        if value is None or not _is_kept(value):
            return None
        key[name] = value
    return key


def _is_kept(value: int | datetime) -> bool:
    """Whether a column can hold it."""
    if isinstance(value, datetime):
        return value.tzinfo is not None and EARLIEST_DAY <= value.date() <= LATEST_DAY
    return abs(value) < 2**63
