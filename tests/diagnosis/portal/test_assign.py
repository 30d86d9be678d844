"""Giving an unassigned field its specimen."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from patients.models import Specimen
from tests.diagnosis.portal import records
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def test_field_moves_to_the_specimen_whatever_case_its_number_is_typed_in(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(clinician, None)
    address = f"/diagnoses/{diagnosis.pk}/assign"
    answer = client_signed_in.post(address, {"accession_number": " h26-1 "}, follow=True)
    assert answer.redirect_chain == [(f"/diagnoses/{diagnosis.pk}", 302)]
    assert "The field now belongs to specimen <bdi>H26-1</bdi>." in answer.content.decode()
    diagnosis.refresh_from_db()
    assert diagnosis.specimen == specimen
    assert AuditEvent.objects.filter(action="diagnosis.assigned", actor=clinician).count() == 1
    assert client_signed_in.get("/diagnoses/unassigned").context["diagnoses"] == []


def test_unknown_number_is_refused_beside_the_field_with_the_input_kept(
    client_signed_in: Client, clinician: User
) -> None:
    diagnosis = records.screened(clinician, None)
    answer = client_signed_in.post(
        f"/diagnoses/{diagnosis.pk}/assign", {"accession_number": "H26-404"}
    )
    text = answer.content.decode()
    assert "There is no specimen <bdi>H26-404</bdi>." in text
    assert 'value="H26-404"' in text
    assert 'aria-invalid="true"' in text
    diagnosis.refresh_from_db()
    assert diagnosis.specimen is None


def test_specimen_that_holds_the_same_upload_refuses_it(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    upload = records.png()
    there = records.screened(clinician, specimen, upload=upload)
    lone = records.screened(clinician, None, upload=upload)
    answer = client_signed_in.post(f"/diagnoses/{lone.pk}/assign", {"accession_number": "H26-1"})
    assert f"It is diagnosis {there.pk}." in answer.content.decode()
    lone.refresh_from_db()
    assert lone.specimen is None


def test_assigned_field_is_not_assigned_again(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(clinician, specimen)
    other = Specimen.objects.create(patient=specimen.patient, accession_number="H26-2")
    answer = client_signed_in.post(
        f"/diagnoses/{diagnosis.pk}/assign", {"accession_number": other.accession_number}
    )
    assert "already assigned" in answer.content.decode()
    diagnosis.refresh_from_db()
    assert diagnosis.specimen == specimen


def test_readers_may_not_assign(reader: Client, clinician: User, specimen: Specimen) -> None:
    diagnosis = records.screened(clinician, None)
    address = f"/diagnoses/{diagnosis.pk}/assign"
    assert reader.post(address, {"accession_number": "H26-1"}).status_code == 403
    diagnosis.refresh_from_db()
    assert diagnosis.specimen is None
