"""The days that the dashboard looks at."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.utils import timezone

from diagnosis.models import Diagnosis
from patients.models import Specimen

# Days → days a bin. There is no "all": a year bounds what has to be counted.
CHOICES = {7: 1, 30: 1, 90: 1, 365: 5}
USUAL = 30


@dataclass(frozen=True)
class Period:
    """Whole days of the laboratory's time zone, today among them.

    Attributes:
        days: how many, a key of ``CHOICES``.
        edges: where each bin begins, and at last where the period ends.
        left_out: specimens that are not counted: those of the demonstration, as soon as there is
            anything else.
        only_drawn: whether there is no field but the demonstration's.
    """

    days: int
    edges: tuple[datetime, ...]
    left_out: tuple[int, ...] = ()
    only_drawn: bool = False

    @property
    def since(self) -> datetime:
        """Where the first bin begins."""
        return self.edges[0]

    @property
    def bins(self) -> int:
        """How many there are."""
        return len(self.edges) - 1


def period_of(days: int) -> Period:
    """The last ``days`` days; ``USUAL`` for a number that is no choice."""
    days = days if days in CHOICES else USUAL
    today = timezone.localdate()
    zone = timezone.get_current_timezone()
    starts = range(1 - days, 2, CHOICES[days])
    drawn = demonstration_specimens()
    only_drawn = bool(drawn) and not Diagnosis.objects.exclude(specimen__in=drawn).exists()
    return Period(
        days=days,
        # Midnight by midnight, not 24 hours by 24 hours: clocks change.
        edges=tuple(
            datetime.combine(today + timedelta(days=start), time.min, zone) for start in starts
        ),
        left_out=() if only_drawn else drawn,
        only_drawn=only_drawn,
    )


def demonstration_specimens() -> tuple[int, ...]:
    """The specimens of the demonstration, whose drawings say nothing of a laboratory."""
    drawn = Specimen.objects.filter(patient__is_demonstration=True)
    return tuple(drawn.order_by("pk").values_list("pk", flat=True))
