"""What the database itself refuses, and what the models say about it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from patients.models import Patient, Specimen

pytestmark = pytest.mark.django_db


def insert_patient(**values: Any) -> Patient:
    """Insert without any validation, as another program or bulk_create would."""
    row = Patient(**{"medical_record_number": "MRN-9", "name": "Silva, Eva", **values})
    return Patient.objects.bulk_create([row])[0]


def insert_specimen(patient: Patient, **values: Any) -> None:
    Specimen.objects.bulk_create(
        [Specimen(patient=patient, **{"accession_number": "S-9"} | values)]
    )


@pytest.mark.parametrize(
    "values",
    [
        {"medical_record_number": ""},
        {"medical_record_number": "  "},
        {"name": ""},
        {"name": " \t"},
        {"sex": "x"},
        {"sex": ""},
        {"date_of_birth": date(1899, 12, 31)},
    ],
)
def test_database_refuses_patient(values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_patient(**values)
    assert not Patient.objects.exists()


def test_database_takes_the_least_patient() -> None:
    insert_patient(date_of_birth=date(1900, 1, 1))
    assert Patient.objects.get().sex == "unknown"


@pytest.mark.parametrize("number", ["MRN-1", "mrn-1", "  mrn-1 "])
def test_record_number_is_unique_without_regard_to_case_and_space(
    patient: Patient, number: str
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_patient(medical_record_number=number)


@pytest.mark.parametrize(
    "values",
    [
        {"accession_number": ""},
        {"accession_number": "h24-1"},
        {"stain": "ink"},
        {"site": "elbow"},
        {
            "collected_at": datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC),
            "received_at": datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC),
        },
    ],
)
def test_database_refuses_specimen(specimen: Specimen, values: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_specimen(specimen.patient, **values)
    assert Specimen.objects.get() == specimen


@pytest.mark.parametrize(
    ("collected", "received"),
    [(None, None), (10, None), (None, 10), (10, 10), (10, 11)],
)
def test_database_takes_times_in_order(
    patient: Patient, collected: int | None, received: int | None
) -> None:
    def at(hour: int | None) -> datetime | None:
        return None if hour is None else datetime(2026, 3, 2, hour, tzinfo=UTC)

    insert_specimen(patient, collected_at=at(collected), received_at=at(received))


def test_what_is_stored_and_looked_up_is_normalised(patient: Patient) -> None:
    insert_patient(medical_record_number=" ab  7 ", name=" Dubois,\n  Rene\u0301 ")
    row = Patient.objects.get(medical_record_number="Ab 7")
    assert (row.medical_record_number, row.name) == ("AB 7", "Dubois, René")


@pytest.mark.parametrize(
    "number", ["A/1", "A 1", ".", "..", "-1", "É1", "A\n1", "A%1", "A?1", "x" * 65]
)
def test_accession_number_is_one_url_segment(patient: Patient, number: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Specimen(patient=patient, accession_number=number).full_clean()
    assert list(refused.value.message_dict) == ["accession_number"]


@pytest.mark.parametrize("number", ["a", "24.11_07-B", "0", "X" * 64])
def test_accession_number_may_be(patient: Patient, number: str) -> None:
    specimen = Specimen(patient=patient, accession_number=number)
    specimen.full_clean()
    assert specimen.accession_number == number.upper()


@pytest.mark.parametrize("number", ["Ä1", "١٢٣", "A\x00B", "A\x07B"])
def test_record_number_is_ascii(number: str) -> None:
    with pytest.raises(ValidationError, match="medical_record_number"):
        Patient(medical_record_number=number, name="A").full_clean()


def test_name_takes_any_language_but_no_null() -> None:
    Patient(medical_record_number="1", name="دباغ، لیلا 李").full_clean()
    with pytest.raises(ValidationError, match="name"):
        Patient(medical_record_number="1", name="A\x00").full_clean()


def test_birth_is_not_in_the_future() -> None:
    today = timezone.localdate()
    Patient(medical_record_number="1", name="A", date_of_birth=today).full_clean()
    late = Patient(medical_record_number="1", name="A", date_of_birth=today + timedelta(days=1))
    with pytest.raises(ValidationError, match="in the future"):
        late.full_clean()


def test_collection_is_not_in_the_future_beyond_the_clocks_difference(patient: Patient) -> None:
    now = timezone.now()
    specimen = Specimen(patient=patient, accession_number="1")
    specimen.collected_at = now + timedelta(minutes=4)
    specimen.full_clean()
    specimen.collected_at = now + timedelta(minutes=7)
    with pytest.raises(ValidationError, match=r"in the future.*UTC"):
        specimen.full_clean()


def test_received_before_collected_is_said_at_the_field(patient: Patient) -> None:
    now = timezone.now()
    specimen = Specimen(patient=patient, accession_number="1", collected_at=now)
    specimen.received_at = now - timedelta(seconds=1)
    with pytest.raises(ValidationError) as refused:
        specimen.full_clean()
    assert list(refused.value.message_dict) == ["received_at"]
