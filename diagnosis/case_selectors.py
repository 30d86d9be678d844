"""Reading cases; nothing here writes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import Case, Diagnosis, Review
from diagnosis.state import CaseHeadline
from patients.models import Specimen
from patients.selectors import specimen_list

# The second where the first read is blinded: what needs a person by the software's word stays out.
ORDER = ("closed", "calm", "priority", "created_at", "id")
BLINDED_ORDER = ("closed", "priority", "created_at", "id")


@dataclass(frozen=True)
class View:
    """One way to look at the work list.

    Attributes:
        title: as shown.
        which: the cases, for the user who looks.
        tells: whether being in it tells what the software says of a case.
    """

    title: Promise
    which: Callable[[AbstractBaseUser], Q]
    tells: bool = False


OPEN = Q(closed=0)
VIEWS: dict[str, View] = {
    "mine": View(pgettext_lazy("cases", "Mine"), lambda user: OPEN & Q(assignee=user)),
    "nobody": View(pgettext_lazy("cases", "Nobody's"), lambda user: OPEN & Q(assignee=None)),
    "suspicious": View(
        _("Suspicious"), lambda user: OPEN & Q(headline=CaseHeadline.SUSPICIOUS), tells=True
    ),
    "indeterminate": View(
        _("Indeterminate"), lambda user: OPEN & Q(headline=CaseHeadline.INDETERMINATE), tells=True
    ),
    "waiting": View(_("Waiting"), lambda user: OPEN & Q(headline=CaseHeadline.WAITING), tells=True),
    "not_suspicious": View(
        _("Not suspicious"), lambda user: OPEN & Q(headline=CaseHeadline.NOT_SUSPICIOUS), tells=True
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


def case_search(*, shown: str, search: str, user: AbstractBaseUser) -> QuerySet[Case]:
    """Cases for the work list, each with specimen, patient and assignee.

    Args:
        shown: a key of ``views_offered``; anything else shows all that are open.
        search: words to find in accession number, record number or name of the patient; a search
            without a view looks at signed cases as well.
    """
    cases = Case.objects.select_related("specimen__patient", "assignee")
    views = views_offered()
    if shown in views:
        cases = cases.filter(views[shown].which(user))
    elif not search:
        cases = cases.filter(OPEN)
    if search:
        cases = cases.filter(specimen__in=specimen_list(search=search))
    return cases


def cases_page(cases: QuerySet[Case], *, after: str, size: int) -> CasePage:
    """The next ``size`` of ``cases``: open before signed, those that need a person first, then by
    priority, then the oldest. Where the first read is blinded, by priority and age alone.

    A page by key, not by offset: neither its cost nor its rows move as cases come in.

    Args:
        after: of the page before; what is no such key begins at the beginning.
    """
    order = BLINDED_ORDER if settings.BLINDED_FIRST_READ else ORDER
    rows = cases.order_by(*order)
    if key := _read_key(after, order):
        rows = rows.filter(_behind(key))
    found = list(rows[: size + 1])
    more = len(found) > size
    return CasePage(found[:size], _key(found[size - 1], order) if more else "")


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
        if value is None:
            return None
        key[name] = value
    return key


def _behind(key: Mapping[str, int | datetime]) -> Q:
    """Rows after ``key`` in its order."""
    behind, same = Q(), Q()
    for name, value in key.items():
        behind |= same & Q(**{f"{name}__gt": value})
        same &= Q(**{name: value})
    return behind
