"""``POST /api/diagnose``: what comes in, what goes out, what is kept."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from diagnosis.core.errors import ContractError, PredictorError
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.imaging.validate import FIXES
from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.models import Diagnosis
from patients.models import Specimen
from tests.diagnosis.api.sending import PROBLEM, as_text, post, post_file, refused
from tests.diagnosis.made import dicom_files
from tests.diagnosis.made.pictures import BENIGN, FakePredictor, smear_jpeg
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


# --- The answer --------------------------------------------------------------------------


def test_a_new_field_is_answered_with_its_stored_diagnosis(
    api: APIClient, specimen: Specimen, smear: bytes, predictor: FakePredictor
) -> None:
    response = post(api, smear, specimen="S-1", file_name="field 1.jpg")
    assert response.status_code == 201
    diagnosis = Diagnosis.objects.get()
    document = response.json()
    validation = document.pop("validation")
    created_at = document.pop("created_at")
    assert document == {
        "id": diagnosis.pk,
        "status": "screened",
        "outcome": "suspicious",
        "predicted_class": "Malignant Pre-B",
        "confidence": 0.8,
        "probabilities": {
            "Benign": 0.05,
            "Malignant Early Pre-B": 0.1,
            "Malignant Pre-B": 0.8,
            "Malignant Pro-B": 0.05,
        },
        "model": {"name": "all_smear", "version": 7, "digest": "c" * 64, "architecture": "test"},
        "specimen": "S-1",
        "is_demonstration": False,
        "withdrawn": None,
        "colour_conversion": "",
        "file_name": "field 1.jpg",
        "failure": "",
        "links": {
            "self": f"/api/diagnoses/{diagnosis.pk}",
            "image": f"/api/diagnoses/{diagnosis.pk}/image",
            "portal": f"/diagnoses/{diagnosis.pk}",
        },
    }
    assert list(document["probabilities"]) == list(LABELS)
    assert created_at.startswith(f"{diagnosis.created_at:%Y-%m-%dT%H:%M:%S}")
    assert response["Location"] == document["links"]["self"]
    assert response["Cache-Control"] == "private, no-store"
    assert validation["accepted"] is True
    assert validation["score"] >= validation["threshold"] == 0.6
    assert [check["name"] for check in validation["checks"]] == list(FIXES)
    assert all(
        list(check) == ["name", "score", "threshold", "passed", "fix"] and check["passed"]
        for check in validation["checks"]
    )


def test_the_published_version_answers(api: APIClient, smear: bytes) -> None:
    response = post(api, smear)
    assert response.status_code == 201
    document = response.json()
    assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert document["confidence"] == max(document["probabilities"].values())
    assert document["model"] == {
        key: api.get("/api/models").json()[0][key]
        for key in ("name", "version", "digest", "architecture")
    }


def test_json_and_multipart_are_one(
    api: APIClient, specimen: Specimen, smear: bytes, predictor: FakePredictor
) -> None:
    first = post_file(api, smear, "camera 7.jpg", specimen="S-1")
    assert first.status_code == 201
    assert first.json()["file_name"] == "camera 7.jpg"
    again = post(api, smear, specimen="S-1")
    assert again.status_code == 200
    assert again.json() == first.json()
    named = post_file(api, smear_jpeg(2), "camera 8.jpg", file_name="field 8")
    assert named.json()["file_name"] == "field 8"


def test_the_same_upload_twice_is_one_diagnosis(
    api: APIClient, specimen: Specimen, smear: bytes, predictor: FakePredictor
) -> None:
    first = post(api, smear, specimen="S-1")
    predictor.probabilities = BENIGN
    again = post(api, smear, specimen="s-1")  # accession numbers know no case
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert predictor.calls == 1
    assert Diagnosis.objects.count() == 1
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["diagnosis.received", "diagnosis.screened", "diagnosis.viewed"]
    elsewhere = post(api, smear)
    assert elsewhere.status_code == 201
    assert elsewhere.json()["id"] != first.json()["id"]


def test_a_refused_image_is_a_problem_with_its_record(
    api: APIClient, specimen: Specimen, document: bytes, predictor: FakePredictor
) -> None:
    response = post(api, document, specimen="S-1")
    assert response.status_code == 422
    assert response["Content-Type"] == PROBLEM
    problem = response.json()
    stored = api.get(f"/api/diagnoses/{problem['id']}").json()
    assert (stored["status"], stored["outcome"]) == ("refused", "rejected")
    for name in ("validation", "model", "specimen", "outcome", "links"):
        assert problem[name] == stored[name]
    assert (problem["status"], problem["code"]) == (422, "image_refused")
    failed = [check for check in problem["validation"]["checks"] if not check["passed"]]
    assert failed
    assert all(check["fix"] in problem["detail"] for check in failed)
    assert stored["predicted_class"] is None
    assert stored["confidence"] is None
    assert stored["probabilities"] is None
    again = post(api, document, specimen="S-1")
    assert again.status_code == 422
    assert again.json() == {**problem, "request_id": again.json()["request_id"]}
    assert Diagnosis.objects.count() == 1


def test_nothing_a_client_says_becomes_a_result(api: APIClient, smear: bytes) -> None:
    lies = {
        "status": "refused",
        "outcome": "not_suspicious",
        "predicted_class": "Benign",
        "confidence": 1.0,
        "probabilities": {"Benign": 1.0},
        "validation": {"accepted": False},
        "model": {"version": 99},
        "model_version": 99,
        "id": 4711,
        "created_at": "1999-01-01T00:00:00Z",
        "created_by": 1,
    }
    assert refused(post(api, smear, **lies), 400, "invalid")["errors"].keys() == lies.keys()
    problem = refused(post_file(api, smear, outcome="rejected"), 400, "invalid")
    assert problem["errors"].keys() == {"outcome"}


# --- Waiting and failing -----------------------------------------------------------------


def test_with_the_model_away_the_field_is_kept_and_waits(
    api: APIClient, smear: bytes, predictor: FakePredictor
) -> None:
    predictor.error = PredictorError("connection refused", permanent=False)
    response = post(api, smear)
    assert response.status_code == 202
    document = response.json()
    assert response["Location"] == f"/api/diagnoses/{document['id']}"
    assert document["status"] == "received"
    for name in ("outcome", "predicted_class", "probabilities", "validation", "model"):
        assert document[name] is None
    predictor.error = None
    again = post(api, smear)
    assert (again.status_code, again.json()) == (202, document), "its pause is not over"
    Diagnosis.objects.update(next_attempt_at=None)
    finished = post(api, smear)
    assert finished.status_code == 200
    assert (finished.json()["id"], finished.json()["status"]) == (document["id"], "screened")


def test_without_a_live_version_the_field_is_kept(
    api: APIClient, smear: bytes, settings: Settings, tmp_path: Any
) -> None:
    settings.MODEL_STORE = tmp_path
    assert post(api, smear).status_code == 202
    models = api.get("/api/models")
    assert (models.status_code, models.json()["code"]) == (503, "model_unavailable")


def test_while_another_works_on_it_the_answer_is_to_wait(
    api: APIClient, clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis, _ = services.diagnosis_create(actor=clinician, upload=smear)
    screening.diagnosis_lease(diagnosis_id=diagnosis.pk)
    response = post(api, smear)
    assert (response.status_code, response.json()["id"]) == (202, diagnosis.pk)
    assert predictor.calls == 0


@pytest.mark.parametrize("times", [1, 2])
def test_a_field_that_cannot_be_screened_is_a_problem_with_its_record(
    api: APIClient, smear: bytes, predictor: FakePredictor, times: int
) -> None:
    predictor.error = PredictorError("secret detail", permanent=True)
    for _ in range(times):
        response = post(api, smear)
    assert response.status_code == 503
    assert response["Content-Type"] == PROBLEM
    problem = response.json()
    assert problem["code"] == "model_unavailable"
    assert "secret" not in response.text
    assert api.get(problem["links"]["self"]).json()["status"] == "failed"
    assert predictor.calls == 1


def test_a_fault_of_ours_names_nothing_of_itself(
    api: APIClient, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**kwargs: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(services, "diagnosis_create", fail)
    api.raise_request_exception = False
    response = post(api, smear)
    assert response.status_code == 500
    assert response["Content-Type"] == PROBLEM
    assert response.json()["code"] == "server_error"
    assert response.json()["request_id"] == response["X-Request-ID"]
    assert "secret" not in response.text


def test_with_the_disk_full_nothing_is_stored(
    api: APIClient, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diagnosis.storage.media.os.replace", fail)
    refused(post(api, smear), 503, "storage_unavailable")


# --- Who ---------------------------------------------------------------------------------


def test_nobody_is_asked_for_a_token(smear: bytes, db: None) -> None:
    problem = refused(post(APIClient(), smear), 401, "not_authenticated")
    assert problem["title"] == "Unauthorized"
    assert post(APIClient(), smear)["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("header", ["Token wrong", "Token", "Token a b", "Bearer x", "Token \xff"])
def test_a_wrong_token_is_refused(smear: bytes, db: None, header: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    response = post(client, smear)
    assert response.status_code == 401
    assert response["Content-Type"] == PROBLEM


def test_a_deactivated_account_is_refused(api: APIClient, clinician: User, smear: bytes) -> None:
    clinician.is_active = False
    clinician.save()
    assert post(api, smear).status_code == 401


def test_an_account_needs_the_permission_to_add(
    api: APIClient, clinician: User, smear: bytes
) -> None:
    clinician.groups.clear()
    refused(post(api, smear), 403, "permission_denied")
    clinician.user_permissions.add(Permission.objects.get(codename="view_diagnosis"))
    refused(post(api, smear), 403, "permission_denied")


def test_a_session_needs_the_csrf_token(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(clinician)
    send = {"data": {"image": as_text(smear)}, "content_type": "application/json"}
    refused(browser.post("/api/diagnose", **send), 403, "permission_denied")  # type: ignore[arg-type]
    browser.get("/")  # any page with a form hands the cookie out
    token = browser.cookies["csrftoken"].value
    response = browser.post("/api/diagnose", **send, headers={"X-CSRFToken": token})  # type: ignore[arg-type]
    assert response.status_code == 201
    file = SimpleUploadedFile("field.jpg", smear)
    form = {"image": file, "csrfmiddlewaretoken": token}
    assert browser.post("/api/diagnose", form).status_code == 200
    assert Diagnosis.objects.get().created_by == clinician


def test_the_sender_is_on_record(
    api: APIClient, clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    post(api, smear)
    assert Diagnosis.objects.get().created_by == clinician
    received, screened = AuditEvent.objects.order_by("pk")
    assert (received.action, received.actor) == ("diagnosis.received", clinician)
    assert (screened.action, screened.actor) == ("diagnosis.screened", None)


# --- Cost --------------------------------------------------------------------------------


def test_the_number_of_queries_is_bounded(
    api: APIClient,
    specimen: Specimen,
    smear: bytes,
    predictor: FakePredictor,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    api.get("/api/diagnoses")  # permissions' content types are cached per process
    with django_assert_max_num_queries(28):
        assert post(api, smear, specimen="S-1").status_code == 201
    with django_assert_max_num_queries(9):
        assert post(api, smear, specimen="S-1").status_code == 200


def test_an_error_of_the_contract_never_reaches_the_client(
    api: APIClient, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ContractError("/srv/secret/contract.json is malformed")

    monkeypatch.setattr("diagnosis.fields.live_model._current", broken)
    assert "secret" not in post(api, smear).text
    assert "secret" not in api.get("/api/models").text


# --- DICOM -------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [post, post_file])
def test_a_dicom_photograph_is_screened_and_only_its_pixels_are_kept(
    api: APIClient, predictor: FakePredictor, smear: bytes, send: Any
) -> None:
    field = decode(smear).rgb
    sent = dicom_files.dicom(field.tobytes(), Rows=field.shape[0], Columns=field.shape[1])
    response = send(api, sent)
    assert response.status_code == 201, response.content
    diagnosis = Diagnosis.objects.get()
    stored = api.get(f"/api/diagnoses/{diagnosis.pk}/image").content
    assert (decode(stored).rgb == field).all()
    assert b"Doe" not in stored


def test_a_dicom_file_of_another_kind_is_refused_with_its_fix(api: APIClient, db: None) -> None:
    scan = dicom_files.dicom(b"\0\0", SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6")
    document = refused(post(api, scan), 422, "whole_slide")
    assert "Export single fields" in document["fix"]
