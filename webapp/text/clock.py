"""Times on the laboratory's clock, which is put back once a year and forward once."""

from datetime import UTC, date, datetime

from django.utils import timezone

# What a record may be dated; filters by day reach a little further than anybody's lifetime.
EARLIEST_DAY, LATEST_DAY = date(1900, 1, 1), date(2199, 12, 31)


def on_clock(at: datetime) -> datetime:
    """``at`` in the current time zone; in UTC where that zone's offset cannot be written.

    Before time zones an offset had seconds, and in the first year or the last there may be no such
    local time at all.
    """
    for zone in (timezone.get_current_timezone(), UTC):
        try:
            local = at.astimezone(zone)
        except OverflowError:
            continue
        offset = local.utcoffset()
        if offset is not None and offset.total_seconds() % 60 == 0:
            return local
    return at


def comes_twice(local: datetime) -> bool:
    """Whether the clock shows this time of day twice, because it is put back."""
    first, second = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    return first is not None and second is not None and first > second


def offset(at: datetime) -> str:
    """``+02:00``."""
    return at.isoformat()[-6:]


def from_clock(local: datetime) -> datetime | None:
    """What a reading of the clock means; the first time, where it comes twice.

    Args:
        local: without a time zone.

    Returns:
        The time in the current zone; ``None`` where the clock is put forward past this reading.
    """
    at = local.replace(tzinfo=timezone.get_current_timezone(), fold=0)
    if comes_twice(at):
        return at.astimezone(UTC)
    return at if at.utcoffset() == at.replace(fold=1).utcoffset() else None
