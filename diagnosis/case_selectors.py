"""Reading cases; nothing here writes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import Case, Diagnosis, Review
from diagnosis.state import CaseHeadline, Status
from patients.models import Specimen
from patients.selectors import specimen_list

ORDER = ("closed", "calm", "priority", "created_at", "id")


@dataclass(frozen=True)
class View:
    """One way to look at the work list.

    Attributes:
        title: as shown.
        which: the cases, for the user who looks.
    """

    title: Promise
    which: Callable[[AbstractBaseUser], Q]


OPEN = Q(closed=0)
VIEWS: dict[str, View] = {
    "mine": View(pgettext_lazy("cases", "Mine"), lambda user: OPEN & Q(assignee=user)),
    "nobody": View(pgettext_lazy("cases", "Nobody's"), lambda user: OPEN & Q(assignee=None)),
    "suspicious": View(_("Suspicious"), lambda user: OPEN & Q(headline=CaseHeadline.SUSPICIOUS)),
    "indeterminate": View(
        _("Indeterminate"), lambda user: OPEN & Q(headline=CaseHeadline.INDETERMINATE)
    ),
    "waiting": View(_("Waiting"), lambda user: OPEN & Q(headline=CaseHeadline.WAITING)),
    "not_suspicious": View(
        _("Not suspicious"), lambda user: OPEN & Q(headline=CaseHeadline.NOT_SUSPICIOUS)
    ),
    "closed": View(pgettext_lazy("cases", "Signed"), lambda user: Q(closed=1)),
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


def case_search(*, shown: str, search: str, user: AbstractBaseUser) -> QuerySet[Case]:
    """Cases for the work list, each with specimen, patient and assignee.

    Args:
        shown: a key of ``VIEWS``; anything else shows all that are open.
        search: words to find in accession number, record number or name of the patient; a search
            without a view looks at signed cases as well.
    """
    cases = Case.objects.select_related("specimen__patient", "assignee")
    if shown in VIEWS:
        cases = cases.filter(VIEWS[shown].which(user))
    elif not search:
        cases = cases.filter(OPEN)
    if search:
        cases = cases.filter(specimen__in=specimen_list(search=search))
    return cases


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
