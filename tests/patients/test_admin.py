"""Patients and specimens in Django admin."""

import pytest
from django.db.models import QuerySet
from django.test import Client
from pytest_django.asserts import assertContains

from diagnosis.models import Diagnosis
from patients.models import Patient, Specimen
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


def _events() -> "QuerySet[AuditEvent]":
    return AuditEvent.objects.filter(actor__username="admin").exclude(action="user.signed_in")


def actions() -> list[str]:
    """Newest first."""
    return [event.action for event in _events()]


def test_search_finds_by_accession_number(specimen: Specimen, admin_client: Client) -> None:
    assertContains(admin_client.get("/admin/patients/patient/?q=h24-1"), "Haddad, Leila")
    assertContains(admin_client.get("/admin/patients/specimen/?q=leila"), "H24-1")


def test_writes_and_reads_are_audited(admin_client: Client) -> None:
    form = {"medical_record_number": "ab-3", "name": "Silva, Eva", "sex": "female"}
    admin_client.post("/admin/patients/patient/add/", form)
    patient = Patient.objects.get(medical_record_number="AB-3")
    address = f"/admin/patients/patient/{patient.pk}/change/"
    admin_client.get(address)
    admin_client.post(address, form)
    admin_client.post(address, form | {"name": "Silva, Ewa"})
    assert actions() == ["patient.updated", "patient.viewed", "patient.created"]
    assert AuditEvent.objects.first().detail == {
        "fields": ["name"],
        "from": {"name": "Silva, Eva"},
        "to": {"name": "Silva, Ewa"},
    }


def test_the_models_rules_hold_here_too(patient: Patient, admin_client: Client) -> None:
    form = {"medical_record_number": "mrn-1", "name": "B", "sex": "other"}
    response = admin_client.post("/admin/patients/patient/add/", form)
    assertContains(response, "Another patient already has this medical record number.")
    assert actions() == []


@pytest.mark.parametrize("bulk", [False, True])
def test_delete(specimen: Specimen, admin_client: Client, bulk: bool) -> None:
    assert delete(admin_client, specimen.patient, bulk=bulk) == 302
    assert not Patient.objects.exists()
    assert actions() == ["patient.deleted", "specimen.deleted"]


@pytest.mark.parametrize("bulk", [False, True])
def test_delete_is_refused_where_there_are_diagnoses(
    specimen: Specimen, diagnosis: Diagnosis, admin_client: Client, bulk: bool
) -> None:
    assert delete(admin_client, specimen.patient, bulk=bulk) != 302
    assert Specimen.objects.get() == specimen
    assert actions() == []


def delete(client: Client, patient: Patient, *, bulk: bool) -> int:
    """The status of the answer to a confirmed deletion."""
    if not bulk:
        address = f"/admin/patients/patient/{patient.pk}/delete/"
        return client.post(address, {"post": "yes"}).status_code
    form = {"action": "delete_selected", "_selected_action": [patient.pk], "post": "yes"}
    return client.post("/admin/patients/patient/", form).status_code
