"""In which order the fields of a case are read: the most uncertain first.

What the software could not decide comes first; then what it screened, the less sure it is of the
class the sooner (``confidence`` is calibrated, and it is the class that a reader agrees to or
changes); then what has no class to judge: refused, failed, waiting; in the end what was withdrawn.

The order is one of stored columns, so the database sorts by it. It holds still while results come
in: a finished field's result never changes and a reading moves nothing, so finished fields keep
their order among themselves; a waiting field moves once, from the end to its place. The number of
a field is that of its arrival, whatever the order.

As long as the software's answers are kept from a reader, so is this order: it would tell which
fields the software doubts. They are read in order of arrival then.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Case as Choice
from django.db.models import F, IntegerField, QuerySet, Value, When, Window
from django.db.models.functions import RowNumber

from diagnosis.cases.blinding import Reader, to_be_read_by
from diagnosis.core.state import Headline, Status
from diagnosis.models import STANDING, Diagnosis

DOUBT = Choice(
    When(withdrawal__isnull=False, then=Value(5)),
    When(outcome=Headline.INDETERMINATE, then=Value(0)),
    When(status=Status.SCREENED, then=Value(1)),
    When(status=Status.REFUSED, then=Value(2)),
    When(status=Status.FAILED, then=Value(3)),
    default=Value(4),
    output_field=IntegerField(),
)


@dataclass(frozen=True)
class Place:
    """Where a field stands in its case.

    Attributes:
        number: of arrival, from 1.
        total: fields of the case.
        previous, next: ids of the fields before and after it in the order of reading.
    """

    number: int
    total: int
    previous: int | None
    next: int | None


def fields_in_order(specimen_id: int, reader: Reader) -> QuerySet[Diagnosis]:
    """The fields of a specimen as ``reader`` goes through them, each with its ``number``."""
    fields = Diagnosis.objects.filter(specimen=specimen_id).select_related("withdrawal__author")
    kept = settings.BLINDED_FIRST_READ and fields.filter(to_be_read_by(reader)).exists()
    numbered = fields.annotate(number=Window(RowNumber(), order_by="id"))
    return numbered.order_by("id") if kept else numbered.order_by(DOUBT, F("confidence"), "id")


def place_of(diagnosis: Diagnosis, reader: Reader) -> Place | None:
    """The neighbours of a field; ``None`` for one without specimen."""
    if diagnosis.specimen_id is None:
        return None
    ids = _ids(diagnosis.specimen_id, reader)
    at = ids.index(diagnosis.pk)
    return Place(
        number=sorted(ids).index(diagnosis.pk) + 1,
        total=len(ids),
        previous=ids[at - 1] if at else None,
        next=ids[at + 1] if at + 1 < len(ids) else None,
    )


def next_unread(specimen_id: int, reader: Reader, after: int | None = None) -> int | None:
    """Id of the next screened field of a case without a reading; ``None`` if there is none.

    Where the first read is blinded, each reader reads every field; else one reading is enough.

    Args:
        after: the field that was read last; behind the end the search begins again at the front.
    """
    fields = Diagnosis.objects.filter(specimen=specimen_id)
    unread = fields.filter(STANDING, status=Status.SCREENED, reviews__isnull=True)
    if settings.BLINDED_FIRST_READ:
        unread = fields.filter(to_be_read_by(reader))
    left = set(unread.values_list("pk", flat=True))
    ids = _ids(specimen_id, reader)
    at = ids.index(after) + 1 if after in ids else 0
    return next((pk for pk in ids[at:] + ids[:at] if pk in left), None)


def _ids(specimen_id: int, reader: Reader) -> list[int]:
    return list(fields_in_order(specimen_id, reader).values_list("pk", flat=True))
