"""How much came in, how long it took, and why fields were refused."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db.models import Count, F, QuerySet, Value
from django.db.models.functions import Concat
from numpy.typing import NDArray

from diagnosis.core.state import Status
from diagnosis.models import Diagnosis, Report
from diagnosis.statistics.period import Period

SAMPLE = 5_000  # rows whose times are looked at; more are thinned out evenly
BATCH = 1_000  # rows that are fetched by number at once
REFUSALS = 2_000  # refused fields whose checks are counted, the newest


@dataclass(frozen=True)
class Volumes:
    """What came in and was finished, by bin of the period.

    Attributes:
        screened, refused, unfinished: fields by the time they were uploaded; ``unfinished`` are
            those that wait for the model or were given up. What was withdrawn later counts: it
            came in and was answered.
        signed: cases by the time of their first report.
    """

    screened: list[int]
    refused: list[int]
    unfinished: list[int]
    signed: list[int]

    @property
    def fields(self) -> int:
        """All uploaded fields."""
        return sum(self.screened) + sum(self.refused) + sum(self.unfinished)


@dataclass(frozen=True)
class Turnaround:
    """How long something took, in seconds.

    Attributes:
        count: how many there were; 0 leaves the others ``None``.
        median, slow: half took at most ``median``, nine of ten at most ``slow``.
        medians, slows: the same by bin of the period, ``None`` for a bin without any.
    """

    count: int
    median: float | None
    slow: float | None
    medians: list[float | None]
    slows: list[float | None]


@dataclass(frozen=True)
class Refusals:
    """Why fields were refused.

    Attributes:
        fields: refused fields that were looked at; one may fail several checks.
        failed: fields that failed a check, by its name, the most frequent first.
    """

    fields: int
    failed: dict[str, int]


def volumes(period: Period) -> Volumes:
    """Count a period, bin by bin, in the index of ``diagnosis_period``."""
    counted: dict[str, list[int]] = {status.value: [0] * period.bins for status in Status}
    bins = [
        Diagnosis.objects.filter(created_at__gte=start, created_at__lt=end)
        .exclude(specimen__in=period.left_out)
        .order_by()
        .annotate(bin=Value(number))
        .values("bin", "status")
        .annotate(fields=Count("pk"))
        for number, (start, end) in enumerate(_spans(period))
    ]
    for row in bins[0].union(*bins[1:], all=True):
        counted[row["status"]][row["bin"]] = row["fields"]
    return Volumes(
        screened=counted[Status.SCREENED],
        refused=counted[Status.REFUSED],
        unfinished=[
            sum(pair) for pair in zip(counted[Status.RECEIVED], counted[Status.FAILED], strict=True)
        ],
        signed=_by_bin(period, _signed(period).values_list("created_at", flat=True)),
    )


def answer_times(period: Period) -> Turnaround:
    """From receiving a field to the model's answer, by when the field came."""
    answered = fields_of(period, Status.SCREENED, Status.REFUSED)
    return _turnaround(period, answered, "created_at", "completed_at", by="created_at")


def signing_times(period: Period) -> Turnaround:
    """From a case's first field to its signature, by when it was signed."""
    return _turnaround(period, _signed(period), "case__created_at", "created_at", by="created_at")


def refusals(period: Period) -> Refusals:
    """Count the failed checks of the period's newest refused fields."""
    refused = fields_of(period, Status.REFUSED).order_by("-created_at")[:REFUSALS]
    failed: Counter[str] = Counter()
    fields = 0
    for document in refused.values_list("validation", flat=True):
        fields += 1
        checks = (document or {}).get("checks", [])
        failed.update(check["name"] for check in checks if not check["passed"])
    return Refusals(fields, dict(failed.most_common()))


def fields_of(period: Period, *statuses: Status) -> QuerySet[Diagnosis]:
    """Fields that came in during ``period`` and are in one of ``statuses``.

    The status is compared as an expression: asked for the column itself, MySQL takes the index
    that begins with it and reads the row of nearly every field.
    """
    return (
        Diagnosis.objects.alias(state=Concat("status", Value("")))
        .filter(created_at__gte=period.since, created_at__lt=period.edges[-1], state__in=statuses)
        .exclude(specimen__in=period.left_out)
    )


def one_in(count: int, at_most: int) -> int:
    """Of how many of ``count`` rows one is looked at, so that they are about ``at_most``."""
    return max(1, -(-count // at_most))


def sample(rows: QuerySet, every: int, key: str = "pk") -> Iterator[list[int]]:
    """Numbers of one in ``every`` of ``rows`` by ``key``, in batches.

    Found in the index alone. The rows themselves are then fetched by number: asked for both at
    once, MariaDB reads the whole table, because it cannot foresee how few are left.
    """
    thinned = rows.annotate(part=F(key) % every).filter(part=0) if every > 1 else rows
    found = list(thinned.order_by().values_list("pk", flat=True))
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]


def _signed(period: Period) -> QuerySet[Report]:
    """The first reports of cases: when they were signed."""
    return Report.objects.filter(
        number=1, created_at__gte=period.since, created_at__lt=period.edges[-1]
    ).exclude(case__specimen__in=period.left_out)


def _turnaround(period: Period, rows: QuerySet, begun: str, ended: str, *, by: str) -> Turnaround:
    count = rows.count()
    pairs = [
        row
        for numbers in sample(rows, one_in(count, SAMPLE))
        for row in rows.model._default_manager.filter(pk__in=numbers)
        .order_by()
        .values_list(begun, ended, by)
    ]
    seconds = np.array([(end - begin).total_seconds() for begin, end, _ in pairs])
    place = _places(period, [moment for _, _, moment in pairs])
    parts = [seconds[place == number] for number in range(period.bins)]
    return Turnaround(
        count=count,
        median=_quantile(seconds, 0.5),
        slow=_quantile(seconds, 0.9),
        medians=[_quantile(part, 0.5) for part in parts],
        slows=[_quantile(part, 0.9) for part in parts],
    )


def _quantile(values: NDArray[np.float64], share: float) -> float | None:
    return float(np.quantile(values, share)) if len(values) else None


def _by_bin(period: Period, moments: QuerySet) -> list[int]:
    place = _places(period, list(moments))
    return np.bincount(place, minlength=period.bins)[: period.bins].tolist()


def _places(period: Period, moments: Sequence[datetime]) -> NDArray[np.int64]:
    """Number of the bin in which each moment lies."""
    edges = [edge.timestamp() for edge in period.edges[1:-1]]
    return np.searchsorted(edges, [moment.timestamp() for moment in moments], side="right")


def _spans(period: Period) -> list[tuple[datetime, datetime]]:
    return list(zip(period.edges[:-1], period.edges[1:], strict=True))
