"""Withdrawing a field by portal and API."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.test import APIClient

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, Diagnosis, Withdrawal
from patients.models import Specimen
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
REASON = "It is of another patient."
CASE = "/specimens/H26-1"


@pytest.fixture
def fields(clinician: User, specimen: Specimen) -> list[Diagnosis]:
    return [records.screened(clinician, specimen) for _ in range(3)]


def test_a_field_is_withdrawn_with_a_reason(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    address = f"/diagnoses/{fields[1].pk}/withdraw"
    assert f'href="{address}"' in client_signed_in.get(f"/diagnoses/{fields[1].pk}").text
    assert "Withdraw field 2" in client_signed_in.get(address).text
    answer = client_signed_in.post(address, {"reason": " "})
    assert "Give a reason" in answer.text
    assert not Withdrawal.objects.exists()
    answer = client_signed_in.post(address, {"reason": REASON}, follow=True)
    assert answer.redirect_chain == [(CASE, 302)]
    page = answer.text
    assert "The field is withdrawn; it stays in the record." in page
    assert "<s>Field 2</s>" in page
    assert REASON in page
    assert "0 of 2 usable fields read" in page


def test_it_is_struck_out_wherever_it_stands(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    address = f"/diagnoses/{fields[1].pk}/withdraw"
    client_signed_in.post(address, {"reason": REASON})
    struck = f"<s>Field {fields[1].pk}</s>"
    patient = f"/patients/{fields[1].specimen.patient_id}"  # type: ignore[union-attr]
    for shown in ("/diagnoses", "/diagnoses?show=withdrawn", patient):
        assert struck in client_signed_in.get(shown).text
    assert struck not in client_signed_in.get("/diagnoses?show=suspicious").text
    page = client_signed_in.get(f"/diagnoses/{fields[1].pk}").text
    assert "Withdrawn" in page
    assert REASON in page
    assert 'value="agree"' not in page
    assert f'href="{address}"' not in page
    answer = client_signed_in.post(address, {"reason": "Again."}, follow=True)
    assert "The field was withdrawn already." in answer.text
    assert Withdrawal.objects.get().reason == REASON


def test_who_signs_sees_what_was_withdrawn(
    client_signed_in: Client, fields: list[Diagnosis], clinician: User
) -> None:
    client_signed_in.post(f"/diagnoses/{fields[1].pk}/withdraw", {"reason": REASON})
    for field in (fields[0], fields[2]):
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    assert REASON in client_signed_in.get(f"{CASE}/sign").text
    sign(clinician, Case.objects.get())
    page = client_signed_in.get(f"{CASE}/report").text
    assert "Withdrawn fields" in page
    assert f"Field 2 (field.png, sha256 {fields[1].image_sha256[:8]}…) was withdrawn" in page
    assert 'href="/diagnoses/2/withdraw"' not in client_signed_in.get("/diagnoses/2").text
    answer = client_signed_in.post(f"/diagnoses/{fields[0].pk}/withdraw", {"reason": REASON})
    assert "The case is signed: open an amendment first." in answer.text


def test_an_unassigned_field_leaves_the_list(client_signed_in: Client, clinician: User) -> None:
    field = records.screened(clinician, None)
    address = f"/diagnoses/{field.pk}/withdraw"
    assert f'href="{address}"' in client_signed_in.get("/diagnoses/unassigned").text
    answer = client_signed_in.post(address, {"reason": "A test of the camera."}, follow=True)
    assert answer.redirect_chain == [("/diagnoses/unassigned", 302)]
    assert answer.context["diagnoses"] == []
    answer = client_signed_in.get(f"/diagnoses/{field.pk}")
    assert "A test of the camera." in answer.text


def test_an_upload_that_was_withdrawn_is_refused_with_what_to_do(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    upload = records.png()
    field = records.screened(clinician, specimen, upload=upload)
    client_signed_in.post(f"/diagnoses/{field.pk}/withdraw", {"reason": REASON})
    answer = client_signed_in.post(CASE, {"fields": SimpleUploadedFile("field.png", upload)})
    assert "This image was withdrawn from this specimen" in answer.text
    assert "upload it under Unassigned fields, and assign it" in answer.text
    assert Diagnosis.objects.count() == 1


def test_the_api_withdraws(api: APIClient, fields: list[Diagnosis]) -> None:
    address = f"/api/diagnoses/{fields[1].pk}"
    assert api.get(address).json()["withdrawn"] is None
    answer = api.post(f"{address}/withdraw", {}, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["reason"])
    answer = api.post(f"{address}/withdraw", {"reason": REASON}, format="json")
    assert answer.status_code == 200
    said = answer.json()["withdrawn"]
    assert (said["by"], said["reason"]) == ("clinician", REASON)
    assert api.get(address).json()["withdrawn"] == said
    answer = api.post(f"{address}/withdraw", {"reason": REASON}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "withdrawn")
    answer = api.patch(address, {"specimen": "H26-1"}, format="json")
    assert answer.status_code == 409
    assert api.post("/api/diagnoses/999/withdraw", {"reason": REASON}).status_code == 404


def test_the_api_refuses_what_was_withdrawn_from_there(
    api: APIClient, clinician: User, specimen: Specimen
) -> None:
    import base64

    upload = records.png()
    field = records.screened(clinician, specimen, upload=upload)
    api.post(f"/api/diagnoses/{field.pk}/withdraw", {"reason": REASON}, format="json")
    sent = {"image": base64.b64encode(upload).decode(), "specimen": "H26-1"}
    answer = api.post("/api/diagnose", sent, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "withdrawn")
    assert Diagnosis.objects.count() == 1


def test_a_technician_withdraws_by_api_what_nobody_has_read(
    fields: list[Diagnosis], clinician: User
) -> None:
    review_create(actor=clinician, diagnosis=fields[0], verdict=Verdict.AGREE)
    technician = User.objects.create_user("technician")
    technician.groups.add(Group.objects.get(name="Technician"))
    api = APIClient()
    api.force_authenticate(technician)
    for field, status in ((fields[0], 409), (fields[1], 200)):
        answer = api.post(f"/api/diagnoses/{field.pk}/withdraw", {"reason": REASON}, format="json")
        assert answer.status_code == status
