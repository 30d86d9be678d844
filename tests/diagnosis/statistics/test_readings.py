"""What readers say beside the model, against records that the test lays down."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from diagnosis.core.imaging.contract import LABELS
from diagnosis.statistics import readings as reading
from diagnosis.statistics.period import period_of
from diagnosis.statistics.readings import readings
from tests.diagnosis.statistics.laboratory import field, read, specimen

pytestmark = pytest.mark.django_db


def test_the_latest_reading_counts(clinician: User) -> None:
    of = specimen()
    corrected, kept = field(of, given=2), field(of, given=0)
    read(corrected, clinician, 1)
    read(corrected, clinician, 2)
    read(kept, clinician, 0)
    read(kept, clinician, 3)
    table = readings(period_of(7)).latest.table
    assert table.sum() == 2
    assert (table[2, 2], table[0, 3]) == (1, 1)


def test_an_unusable_field_is_left_out_whatever_was_said_before(clinician: User) -> None:
    unusable, usable, unread = (field(specimen(), given=1) for _ in range(3))
    read(unusable, clinician, 1)
    read(unusable, clinician, None)
    read(usable, clinician, None)
    read(usable, clinician, 1)
    found = readings(period_of(7))
    assert (found.latest.fields, found.latest.patients) == (1, 1)
    assert unread.reviews.count() == 0


def test_refused_and_earlier_fields_do_not_count(clinician: User) -> None:
    read(field(specimen(), given=None), clinician, None)
    read(field(specimen(), given=1, at=timezone.now() - timedelta(days=20)), clinician, 1)
    assert readings(period_of(7)).latest.fields == 0
    assert readings(period_of(30)).latest.fields == 1


def test_kappa_by_hand(clinician: User) -> None:
    """Ten patients with 4 fields each: 3 of 4 agree, on two classes; ½ is chance, κ = ½."""
    for _ in range(10):
        of = specimen()
        for given, label in ((0, 0), (0, 1), (1, 1), (1, 1)):
            read(field(of, given=given), clinician, label)
    found = readings(period_of(7)).latest
    assert (found.fields, found.patients, found.observed) == (40, 10, 0.75)
    assert found.kappa == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5)  # every patient is like every other


def test_a_blinded_first_reading_stands_apart(clinician: User) -> None:
    of = specimen()
    led, blind, second = (field(of, given=1) for _ in range(3))
    read(led, clinician, 1)
    read(blind, clinician, 2, blinded=True)
    read(blind, clinician, 1)  # having seen what the model says
    read(second, clinician, 1)
    read(second, clinician, 3, blinded=True)  # no first reading
    found = readings(period_of(7))
    assert found.latest.table[1].tolist() == [0, 2, 0, 1]
    assert found.blinded.table[1].tolist() == [0, 0, 1, 0]


def test_overrides_by_each_dimension(clinician: User) -> None:
    marrow = specimen(site="bone-marrow-aspirate", stain="giemsa")
    blood = specimen(site="peripheral-blood", stain="giemsa")
    read(field(marrow, given=0, model_version=1), clinician, 2)
    read(field(marrow, given=0), clinician, 0)
    read(field(blood, given=3), clinician, 3)
    read(field(blood, given=3), clinician, 3)
    found = readings(period_of(7)).overrides

    def counts(name: str) -> dict[object, tuple[int, int, int]]:
        return {k: (v.hits, v.fields, v.patients) for k, v in found[name].items()}

    assert counts("given") == {LABELS[0]: (1, 2, 1), LABELS[3]: (0, 2, 1)}
    assert counts("version") == {1: (1, 1, 1), 2: (0, 3, 2)}
    assert counts("site") == {"bone-marrow-aspirate": (1, 2, 1), "peripheral-blood": (0, 2, 1)}
    assert counts("stain") == {"giemsa": (1, 4, 2)}


def test_fields_of_two_specimens_of_one_patient_are_one_patients(clinician: User) -> None:
    first = specimen()
    for of in (first, specimen(first.patient)):
        read(field(of, given=1), clinician, 1)
    assert readings(period_of(7)).latest.patients == 1


def test_many_fields_are_thinned_out_by_specimen(
    clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(8):
        of = specimen()
        for _ in range(3):
            read(field(of, given=1), clinician, 1)
    assert readings(period_of(7)).every == 1
    monkeypatch.setattr(reading, "FIELDS", 6)
    found = readings(period_of(7))
    assert found.every == 4
    assert (found.latest.fields, found.latest.patients) == (6, 2)
