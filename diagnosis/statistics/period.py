"""The days that the dashboard looks at."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.utils import timezone

# Days → days a bin. There is no "all": a year bounds what has to be counted.
CHOICES = {7: 1, 30: 1, 90: 1, 365: 5}
USUAL = 30


@dataclass(frozen=True)
class Period:
    """Whole days of the laboratory's time zone, today among them.

    Attributes:
        days: how many, a key of ``CHOICES``.
        edges: where each bin begins, and at last where the period ends.
    """

    days: int
    edges: tuple[datetime, ...]

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
    return Period(
        days=days,
        # Midnight by midnight, not 24 hours by 24 hours: clocks change.
        edges=tuple(
            datetime.combine(today + timedelta(days=start), time.min, zone) for start in starts
        ),
    )
