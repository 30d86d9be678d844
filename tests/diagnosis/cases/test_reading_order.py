"""In which order the fields of a case are read, and that it holds while results come in."""

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries

from diagnosis.cases.reading_order import fields_in_order, next_unread, place_of
from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Diagnosis
from patients.models import Specimen
from tests.diagnosis.portal import records

pytestmark = pytest.mark.django_db
SURE, UNSURE, SPLIT = (0.01, 0.01, 0.97, 0.01), (0.1, 0.2, 0.6, 0.1), (0.02, 0.38, 0.6, 0.0)


def order(specimen: Specimen, reader: User) -> list[int]:
    return [field.pk for field in fields_in_order(specimen.pk, reader)]


def agree(reader: User, diagnosis: Diagnosis) -> None:
    review_create(actor=reader, diagnosis=diagnosis, verdict=Verdict.AGREE)


def test_what_the_software_doubts_comes_first_and_what_has_no_class_last(
    clinician: User, specimen: Specimen
) -> None:
    waiting = records.received(clinician, specimen)
    failed = records.failed(clinician, specimen)
    refused = records.refused(clinician, specimen)
    sure = records.screened(clinician, specimen, probabilities=SURE)
    unsure = records.screened(clinician, specimen, probabilities=UNSURE)
    calm = records.screened(
        clinician, specimen, outcome="not_suspicious", probabilities=(0.8, 0.1, 0.05, 0.05)
    )
    # Unlike the training images: the model is sure, and is not believed.
    strange = records.screened(
        clinician, specimen, outcome="indeterminate", probabilities=SURE, ood_score=40
    )
    between = records.screened(
        clinician, specimen, outcome="indeterminate", probabilities=(0.6, 0.2, 0.1, 0.1)
    )
    rows = (between, strange, unsure, calm, sure, refused, failed, waiting)
    assert order(specimen, clinician) == [row.pk for row in rows]


def test_equally_uncertain_fields_stand_in_order_of_arrival(
    clinician: User, specimen: Specimen
) -> None:
    made = [records.screened(clinician, specimen, probabilities=SPLIT).pk for _ in range(4)]
    assert order(specimen, clinician) == made


def test_finished_fields_keep_their_order_as_others_finish_and_are_read(
    clinician: User, specimen: Specimen
) -> None:
    sure = records.screened(clinician, specimen, probabilities=SURE)
    unsure = records.screened(clinician, specimen, probabilities=UNSURE)
    records.received(clinician, specimen)
    before = order(specimen, clinician)
    agree(clinician, unsure)
    assert order(specimen, clinician) == before
    records.screened(clinician, specimen, probabilities=(0.3, 0.2, 0.4, 0.1))
    records.refused(clinician, specimen)
    after = order(specimen, clinician)
    assert [pk for pk in after if pk in (sure.pk, unsure.pk)] == [unsure.pk, sure.pk]


def test_a_field_keeps_the_number_of_its_arrival(clinician: User, specimen: Specimen) -> None:
    sure = records.screened(clinician, specimen, probabilities=SURE)
    records.screened(clinician, None)
    unsure = records.screened(clinician, specimen, probabilities=UNSURE)
    numbers = {row.pk: row.number for row in fields_in_order(specimen.pk, clinician)}  # type: ignore[attr-defined]
    assert numbers == {sure.pk: 1, unsure.pk: 2}
    first, second = place_of(unsure, clinician), place_of(sure, clinician)
    assert first is not None
    assert second is not None
    assert (first.number, first.total, first.previous, first.next) == (2, 2, None, sure.pk)
    assert (second.number, second.total, second.previous, second.next) == (1, 2, unsure.pk, None)
    assert place_of(records.screened(clinician, None), clinician) is None


def test_next_is_the_next_unread_one_in_that_order_and_then_from_the_front(
    clinician: User, specimen: Specimen
) -> None:
    sure = records.screened(clinician, specimen, probabilities=SURE)
    records.refused(clinician, specimen)
    middle = records.screened(clinician, specimen, probabilities=(0.1, 0.05, 0.8, 0.05))
    unsure = records.screened(clinician, specimen, probabilities=UNSURE)
    assert next_unread(specimen.pk, clinician) == unsure.pk
    agree(clinician, middle)
    assert next_unread(specimen.pk, clinician, after=middle.pk) == sure.pk
    agree(clinician, sure)
    assert next_unread(specimen.pk, clinician, after=sure.pk) == unsure.pk
    agree(clinician, unsure)
    assert next_unread(specimen.pk, clinician, after=unsure.pk) is None


def test_the_order_is_the_database_s_and_one_query(
    clinician: User, specimen: Specimen, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        records.screened(clinician, specimen)
    with django_assert_num_queries(1):
        assert len(order(specimen, clinician)) == 5
