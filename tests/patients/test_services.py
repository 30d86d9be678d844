"""Writes and their audit events stand or fall together."""

from collections.abc import Callable
from datetime import date

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Model

from diagnosis.models import Diagnosis
from patients import selectors, services
from patients.models import Patient, Specimen
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


def events() -> list[tuple[str, str, dict[str, object]]]:
    """Oldest first."""
    return [(event.action, event.target_id, event.detail) for event in AuditEvent.objects.all()][
        ::-1
    ]


def test_create_is_audited_with_actor_and_without_values(clinician: User) -> None:
    patient = services.patient_create(
        actor=clinician, medical_record_number=" mrn-2", name="Rossi, Ines"
    )
    specimen = services.specimen_create(actor=clinician, patient=patient, accession_number="s-2")
    assert (patient.medical_record_number, specimen.accession_number) == ("MRN-2", "S-2")
    assert events() == [
        ("patient.created", str(patient.pk), {}),
        ("specimen.created", str(specimen.pk), {}),
    ]
    assert AuditEvent.objects.first().actor == clinician


def test_update_keeps_what_changed_from_what_to_what(patient: Patient) -> None:
    changed = services.patient_update(
        actor=None, patient=patient, name="Haddad,  Lena", sex="female", date_of_birth=None
    )
    assert (changed.name, changed.date_of_birth) == ("Haddad, Lena", None)
    assert events()[-1] == (
        "patient.updated",
        str(patient.pk),
        {
            "fields": ["date_of_birth", "name"],
            "from": {"date_of_birth": "2015-03-09", "name": "Haddad, Leila"},
            "to": {"date_of_birth": None, "name": "Haddad, Lena"},
        },
    )


def test_update_to_the_same_leaves_no_event(specimen: Specimen) -> None:
    before = events()
    services.specimen_update(
        actor=None, specimen=specimen, accession_number=" h24-1 ", stain="leishman"
    )
    assert events() == before


def test_update_sees_what_a_form_has_already_set(patient: Patient) -> None:
    patient.name = "Haddad, Mona"  # ModelForm does this before the view calls the service
    services.patient_update(actor=None, patient=patient, name="Haddad, Mona")
    assert Patient.objects.get().name == "Haddad, Mona"
    assert events()[-1][2] == {
        "fields": ["name"],
        "from": {"name": "Haddad, Leila"},
        "to": {"name": "Haddad, Mona"},
    }


def test_update_refuses_what_is_invalid(patient: Patient) -> None:
    with pytest.raises(ValidationError, match="before 1900"):
        services.patient_update(actor=None, patient=patient, date_of_birth=date(198, 1, 1))
    assert Patient.objects.get().date_of_birth == date(2015, 3, 9)


@pytest.mark.parametrize(
    "write",
    [
        lambda s: services.patient_create(actor=None, medical_record_number="2", name="A"),
        lambda s: services.patient_update(actor=None, patient=s.patient, name="A"),
        lambda s: services.patient_delete(actor=None, patient=s.patient),
        lambda s: services.specimen_create(actor=None, patient=s.patient, accession_number="2"),
        lambda s: services.specimen_update(actor=None, specimen=s, stain="wright"),
        lambda s: services.specimen_delete(actor=None, specimen=s),
    ],
)
def test_nothing_is_written_without_its_event(
    specimen: Specimen,
    write: Callable[[Specimen], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(**kwargs: object) -> None:
        raise RuntimeError("no audit")

    def rows() -> list[dict[str, object]]:
        return [*Patient.objects.values(), *Specimen.objects.values()]

    monkeypatch.setattr(services, "audit_record", fail)
    before = rows()
    with pytest.raises(RuntimeError, match="no audit"):
        write(specimen)
    assert rows() == before


def test_delete_takes_the_specimens_along_and_names_each(specimen: Specimen) -> None:
    services.patient_delete(actor=None, patient=specimen.patient)
    assert not Patient.objects.exists()
    assert not Specimen.objects.exists()
    first, second = events()[-2:]
    assert first[:2] == ("specimen.deleted", str(specimen.pk))
    assert first[2]["from"]["accession_number"] == "H24-1"
    assert first[2]["from"]["patient"] == specimen.patient_id
    assert second[:2] == ("patient.deleted", str(specimen.patient_id))
    assert second[2]["from"]["medical_record_number"] == "MRN-1"
    assert second[2]["from"]["date_of_birth"] == "2015-03-09"


def test_what_has_a_diagnosis_is_kept(specimen: Specimen, diagnosis: Diagnosis) -> None:
    before = events()
    with pytest.raises(services.DeletionRefusedError) as patient_refused:
        services.patient_delete(actor=None, patient=specimen.patient)
    with pytest.raises(services.DeletionRefusedError) as specimen_refused:
        services.specimen_delete(actor=None, specimen=specimen)
    assert patient_refused.value.code == "patient_has_diagnoses"
    assert specimen_refused.value.code == "specimen_has_diagnoses"
    assert Specimen.objects.get() == specimen
    assert events() == before


@pytest.mark.parametrize(
    ("model", "create"),
    [
        (
            Patient,
            lambda s: services.patient_create(actor=None, medical_record_number="MRN-1", name="A"),
        ),
        (
            Specimen,
            lambda s: services.specimen_create(
                actor=None, patient=s.patient, accession_number="H24-1"
            ),
        ),
    ],
)
def test_a_number_taken_meanwhile_is_the_usual_refusal(
    specimen: Specimen,
    model: type[Model],
    create: Callable[[Specimen], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Validation ran before the other request's insert was there to be seen.
    monkeypatch.setattr(model, "full_clean", lambda self: None)
    with pytest.raises(ValidationError, match="already has this"):
        create(specimen)


def test_another_refusal_of_the_database_is_not_called_a_taken_number(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Patient, "full_clean", lambda self: None)
    with pytest.raises(IntegrityError):
        services.patient_create(actor=None, medical_record_number="2", name="A", sex="x")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", ["Haddad, Leila", "Haddad, Omar", "Silva, Eva"]),
        ("haddad", ["Haddad, Leila", "Haddad, Omar"]),
        ("leila haddad", ["Haddad, Leila"]),
        ("mrn-1", ["Haddad, Leila"]),
        ("h24", ["Haddad, Leila"]),
        ("h24 omar", []),
        ("100%", []),
        ("_", []),
    ],
)
def test_patient_search(specimen: Specimen, search: str, found: list[str]) -> None:
    for number, name in [("B2", "Silva, Eva"), ("C3", "Haddad, Omar")]:
        services.patient_create(actor=None, medical_record_number=number, name=name)
    assert [row.name for row in selectors.patient_list(search=search)] == found


def test_patient_list_counts_all_specimens_also_when_one_is_searched(specimen: Specimen) -> None:
    services.specimen_create(actor=None, patient=specimen.patient, accession_number="H24-2")
    assert [row.specimen_count for row in selectors.patient_list(search="h24-1")] == [2]


def test_listing_is_one_event_with_the_ids_and_none_when_empty(
    patient: Patient, clinician: User
) -> None:
    before = AuditEvent.objects.count()
    services.listing_record(actor=clinician, rows=[])
    assert AuditEvent.objects.count() == before
    services.listing_record(actor=clinician, rows=[patient])
    event = AuditEvent.objects.first()
    assert (event.action, event.target_id, event.detail) == (
        "patient.listed",
        str(clinician.pk),
        {"ids": [patient.pk]},
    )
