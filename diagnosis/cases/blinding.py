"""Blinded first read: from whom the software's answer is still kept.

Where ``BLINDED_FIRST_READ`` is on, a reader sees what the software says of a field once a reading
of their own stands on it, and what it says of a case once that holds for all its screened fields.
Nobody else's reading counts; who may only look therefore sees no answer before the case is closed,
which takes no more readings and so has nothing left to keep.

Rows are concealed, not merely pages: what is taken from a row cannot be shown by any template.
"""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Exists, OuterRef, Q

from diagnosis.core.state import Status
from diagnosis.models import STANDING, Case, Diagnosis, Review

Reader = AbstractBaseUser | AnonymousUser
ANSWER = ("outcome", "predicted_class", "confidence", "probabilities", "ood_score")
CASE_ANSWER = ("headline", "rule")


def kept_from(reader: Reader) -> Q:
    """The fields whose answer is kept from ``reader``; for a query on ``Diagnosis``."""
    if not settings.BLINDED_FIRST_READ:
        return Q(pk__in=())
    own = Review.objects.filter(diagnosis=OuterRef("pk"), reviewer_id=reader.pk)
    return Q(~Exists(own), ~Q(specimen__case__closed=1), status=Status.SCREENED)


def to_be_read_by(reader: Reader) -> Q:
    """Those of ``kept_from`` that wait for the reader's own word: nobody reads a withdrawn one."""
    return kept_from(reader) & STANDING


def is_kept(diagnosis: Diagnosis, reader: Reader) -> bool:
    """Whether the answer on one field is kept from ``reader``."""
    return settings.BLINDED_FIRST_READ and (
        Diagnosis.objects.filter(kept_from(reader), pk=diagnosis.pk).exists()
    )


def conceal(rows: Iterable[Diagnosis], reader: Reader) -> None:
    """Take the answer from those of ``rows`` that ``reader`` has not read; one query.

    The rows are then for showing alone; the model layer refuses to save them.
    """
    if not settings.BLINDED_FIRST_READ:
        return
    shown = list(rows)
    ids = [row.pk for row in shown]
    kept = Diagnosis.objects.filter(kept_from(reader), pk__in=ids)
    _empty(shown, set(kept.values_list("pk", flat=True)), ANSWER, None)


def conceal_cases(cases: Iterable[Case], reader: Reader) -> None:
    """The same for cases: kept while the answer on any of their fields is; one query."""
    if not settings.BLINDED_FIRST_READ:
        return
    shown = list(cases)
    specimens = [case.specimen_id for case in shown]
    kept = Diagnosis.objects.filter(to_be_read_by(reader), specimen__in=specimens)
    unread = set(kept.values_list("specimen__case", flat=True).distinct())
    _empty(shown, unread, CASE_ANSWER, "")


def _empty(rows: Iterable[Any], kept: set[int], names: tuple[str, ...], value: Any) -> None:
    for row in rows:
        if row.pk in kept:
            row.concealed = True
            for name in names:
                setattr(row, name, value)
