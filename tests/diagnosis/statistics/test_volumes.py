"""Counts and times of a period, against records that the test lays down."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from diagnosis.models import Case, Diagnosis
from diagnosis.statistics import volumes as counting
from diagnosis.statistics.period import (
    CHOICES,
    USUAL,
    Period,
    period_of,
)
from diagnosis.statistics.readings import readings
from diagnosis.statistics.volumes import answer_times, refusals, signing_times, volumes
from patients.models import Patient, Specimen
from tests.diagnosis.made.signing import close
from tests.diagnosis.statistics.laboratory import field, read, specimen, validation

pytestmark = pytest.mark.django_db

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
THREE_DAYS = Period(3, tuple(MIDNIGHT + DAY * number for number in range(4)))


def signed_case(of: Specimen, begun: datetime, signed: datetime, *, amended: bool = False) -> None:
    with patch("django.utils.timezone.now", lambda: begun):
        case = Case.objects.create(specimen=of)
    close(case, at=signed, amended=amended)


def test_fields_are_counted_by_day_and_what_became_of_them() -> None:
    field(at=MIDNIGHT - timedelta(seconds=1))  # the day before
    field(at=MIDNIGHT)
    field(at=MIDNIGHT + DAY - timedelta(seconds=1))
    field(given=None, at=MIDNIGHT + DAY)
    for status in ("received", "failed"):
        empty = {"outcome": None, "predicted_class": None, "confidence": None}
        field(at=MIDNIGHT + 2 * DAY, status=status, **empty)
    field(at=MIDNIGHT + 3 * DAY)  # the day after
    found = volumes(THREE_DAYS)
    assert (found.screened, found.refused, found.unfinished) == ([2, 0, 0], [0, 1, 0], [0, 0, 2])
    assert found.fields == 5


def test_cases_are_counted_by_the_day_of_their_first_signature() -> None:
    for hours in (1, 30, 31, 80):
        signed_case(specimen(), MIDNIGHT, MIDNIGHT + timedelta(hours=hours))
    assert volumes(THREE_DAYS).signed == [1, 2, 0]
    signed_case(specimen(), MIDNIGHT, MIDNIGHT + timedelta(hours=2), amended=True)
    assert volumes(THREE_DAYS).signed == [2, 2, 0], "its amendment is no second signing"


def test_times_to_the_answer() -> None:
    for seconds in range(1, 11):
        field(at=MIDNIGHT, seconds=seconds)
    field(given=None, at=MIDNIGHT + 2 * DAY, seconds=600)
    found = answer_times(THREE_DAYS)
    assert found.count == 11
    assert found.median == 6
    assert found.medians == [5.5, None, 600]
    assert found.slows == [pytest.approx(9.1), None, 600]


def test_times_to_the_signature() -> None:
    for hours in (1, 2, 6):
        signed_case(specimen(), MIDNIGHT, MIDNIGHT + timedelta(hours=hours))
    found = signing_times(THREE_DAYS)
    assert (found.count, found.median) == (3, 7200)
    assert signing_times(period_of(7)).median is None


def test_failed_checks_are_counted_the_most_frequent_first() -> None:
    for failing in (("focus",), ("focus", "brightness"), ("colour_histogram", "focus")):
        field(given=None, at=MIDNIGHT, validation=validation(False, failing))
    field(at=MIDNIGHT)
    field(given=None, at=MIDNIGHT - DAY)
    found = refusals(THREE_DAYS)
    assert found.fields == 3
    assert found.failed == {"focus": 3, "brightness": 1, "colour_histogram": 1}
    assert next(iter(found.failed)) == "focus"


def test_many_rows_are_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SAMPLE", 5)
    for _ in range(20):
        field(at=MIDNIGHT, seconds=3)
    every = counting.one_in(20, 5)
    numbers = [pk for part in counting.sample(Diagnosis.objects.all(), every) for pk in part]
    assert len(numbers) == 5
    assert {later - earlier for earlier, later in pairwise(sorted(numbers))} == {every}
    found = answer_times(THREE_DAYS)
    assert (found.count, found.median) == (20, 3)


@pytest.mark.parametrize("days", CHOICES)
def test_a_period_ends_with_today(days: int) -> None:
    period = period_of(days)
    assert period.edges[-2] <= timezone.now() < period.edges[-1]
    assert period.bins * CHOICES[days] == days
    assert period_of(days + 1).days == USUAL


def test_days_are_the_laboratorys_also_when_clocks_change() -> None:
    """In Berlin, 29 March 2026 has 23 hours."""
    now = datetime(2026, 3, 30, 12, tzinfo=UTC)
    berlin = ZoneInfo("Europe/Berlin")
    with timezone.override(berlin), patch("django.utils.timezone.now", lambda: now):
        period = period_of(7)
    assert [edge.astimezone(berlin).hour for edge in period.edges] == [0] * 8
    seconds = [b.timestamp() - a.timestamp() for a, b in pairwise(period.edges)]
    assert [round(second / 3600) for second in seconds] == [24, 24, 24, 24, 24, 23, 24]
    field(at=datetime(2026, 3, 29, 21, 59, tzinfo=UTC))
    field(at=datetime(2026, 3, 29, 22, 0, tzinfo=UTC))
    assert volumes(period).screened == [0, 0, 0, 0, 0, 1, 1]


def test_queries_do_not_grow(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    period = period_of(90)
    with django_assert_num_queries(2):
        volumes(period)


def test_the_demonstration_counts_as_long_as_there_is_nothing_else() -> None:
    patient = Patient.objects.create(
        medical_record_number="DEMO", name="Demonstration", is_demonstration=True
    )
    drawn = specimen(patient)
    read(field(drawn), User.objects.create_user("reader"), 1)
    signed_case(drawn, timezone.now(), timezone.now())
    alone = period_of(7)
    assert alone.only_drawn
    assert (volumes(alone).fields, sum(volumes(alone).signed)) == (1, 1)
    assert readings(alone).latest.fields == 1
    field()
    beside = period_of(7)
    assert not beside.only_drawn
    assert (volumes(beside).fields, sum(volumes(beside).signed)) == (1, 0)
    assert answer_times(beside).count == 1
    assert signing_times(beside).count == 0
    assert readings(beside).latest.fields == 0
