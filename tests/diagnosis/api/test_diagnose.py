"""``POST /api/diagnose``: what comes in, what goes out, what is kept."""

import base64
import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from diagnosis import services
from diagnosis.errors import ContractError, PredictorError
from diagnosis.imaging.contract import LABELS
from diagnosis.imaging.validate import FIXES
from diagnosis.models import Diagnosis
from patients.models import Specimen
from tests.diagnosis.support import BENIGN, FakePredictor, smear_jpeg
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _post(api: APIClient, data: bytes, **members: Any) -> Any:
    return api.post("/api/diagnose", {"image": _text(data), **members})


def _post_file(api: APIClient, data: bytes, name: str = "field.jpg", **members: Any) -> Any:
    file = SimpleUploadedFile(name, data)
    return api.post("/api/diagnose", {"image": file, **members}, format="multipart")


def _refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """A problem document, and nothing stored."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    document = response.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["detail"].endswith(".")
    assert document["request_id"] == response["X-Request-ID"]
    assert not Diagnosis.objects.exists()
    return document


# --- The answer --------------------------------------------------------------------------


def test_a_new_field_is_answered_with_its_stored_diagnosis(
    api: APIClient, specimen: Specimen, smear: bytes, predictor: FakePredictor
) -> None:
    response = _post(api, smear, specimen="S-1", file_name="field 1.jpg")
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
    response = _post(api, smear)
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
    first = _post_file(api, smear, "camera 7.jpg", specimen="S-1")
    assert first.status_code == 201
    assert first.json()["file_name"] == "camera 7.jpg"
    again = _post(api, smear, specimen="S-1")
    assert again.status_code == 200
    assert again.json() == first.json()
    named = _post_file(api, smear_jpeg(2), "camera 8.jpg", file_name="field 8")
    assert named.json()["file_name"] == "field 8"


def test_the_same_upload_twice_is_one_diagnosis(
    api: APIClient, specimen: Specimen, smear: bytes, predictor: FakePredictor
) -> None:
    first = _post(api, smear, specimen="S-1")
    predictor.probabilities = BENIGN
    again = _post(api, smear, specimen="s-1")  # accession numbers know no case
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert predictor.calls == 1
    assert Diagnosis.objects.count() == 1
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["diagnosis.received", "diagnosis.screened", "diagnosis.viewed"]
    elsewhere = _post(api, smear)
    assert elsewhere.status_code == 201
    assert elsewhere.json()["id"] != first.json()["id"]


def test_a_refused_image_is_a_problem_with_its_record(
    api: APIClient, specimen: Specimen, document: bytes, predictor: FakePredictor
) -> None:
    response = _post(api, document, specimen="S-1")
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
    again = _post(api, document, specimen="S-1")
    assert again.status_code == 422
    assert again.json() == {**problem, "request_id": again.json()["request_id"]}
    assert Diagnosis.objects.count() == 1


def test_nothing_a_client_says_becomes_a_result(
    api: APIClient, smear: bytes, predictor: FakePredictor
) -> None:
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
    for response in (_post(api, smear, **lies), _post_file(api, smear_jpeg(2), outcome="rejected")):
        assert response.status_code == 201
        document = response.json()
        assert document["outcome"] == "suspicious"
        assert document["predicted_class"] == "Malignant Pre-B"
        assert document["model"]["version"] == 7
        assert document["id"] != 4711
        assert not document["created_at"].startswith("1999")


# --- Waiting and failing -----------------------------------------------------------------


def test_with_the_model_away_the_field_is_kept_and_waits(
    api: APIClient, smear: bytes, predictor: FakePredictor
) -> None:
    predictor.error = PredictorError("connection refused", permanent=False)
    response = _post(api, smear)
    assert response.status_code == 202
    document = response.json()
    assert response["Location"] == f"/api/diagnoses/{document['id']}"
    assert document["status"] == "received"
    for name in ("outcome", "predicted_class", "probabilities", "validation", "model"):
        assert document[name] is None
    predictor.error = None
    again = _post(api, smear)
    assert (again.status_code, again.json()) == (202, document), "its pause is not over"
    Diagnosis.objects.update(next_attempt_at=None)
    finished = _post(api, smear)
    assert finished.status_code == 200
    assert (finished.json()["id"], finished.json()["status"]) == (document["id"], "screened")


def test_without_a_live_version_the_field_is_kept(
    api: APIClient, smear: bytes, settings: Settings, tmp_path: Any
) -> None:
    settings.MODEL_STORE = tmp_path
    assert _post(api, smear).status_code == 202
    models = api.get("/api/models")
    assert (models.status_code, models.json()["code"]) == (503, "model_unavailable")


def test_while_another_works_on_it_the_answer_is_to_wait(
    api: APIClient, clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis, _ = services.diagnosis_create(actor=clinician, upload=smear)
    services.diagnosis_lease(diagnosis_id=diagnosis.pk)
    response = _post(api, smear)
    assert (response.status_code, response.json()["id"]) == (202, diagnosis.pk)
    assert predictor.calls == 0


@pytest.mark.parametrize("times", [1, 2])
def test_a_field_that_cannot_be_screened_is_a_problem_with_its_record(
    api: APIClient, smear: bytes, predictor: FakePredictor, times: int
) -> None:
    predictor.error = PredictorError("secret detail", permanent=True)
    for _ in range(times):
        response = _post(api, smear)
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
    response = _post(api, smear)
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

    monkeypatch.setattr("diagnosis.media.os.replace", fail)
    _refused(_post(api, smear), 503, "storage_unavailable")


# --- Base64 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix",
    [
        "data:image/jpeg;base64,",
        "data:image/jpeg;name=field.jpg;base64,",
        "DATA:IMAGE/PNG;BASE64,",
        "data:application/octet-stream;base64,",
        "data:;base64,",
    ],
)
def test_a_data_url_is_taken(
    api: APIClient, smear: bytes, predictor: FakePredictor, prefix: str
) -> None:
    assert api.post("/api/diagnose", {"image": prefix + _text(smear)}).status_code == 201


def test_line_breaks_are_taken(api: APIClient, smear: bytes, predictor: FakePredictor) -> None:
    for text in (
        base64.encodebytes(smear).decode(),
        base64.encodebytes(smear).decode().replace("\n", "\r\n"),
        f"  {_text(smear)}\n",
        "data:image/jpeg;base64,\n" + base64.encodebytes(smear).decode(),
    ):
        response = api.post("/api/diagnose", {"image": text})
        assert response.status_code in (200, 201)
    assert Diagnosis.objects.count() == 1


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("not base64!", "invalid_base64"),
        ("ÄÖÜ", "invalid_base64"),
        ("AAAA\u2028AAAA", "invalid_base64"),
        ("AAAA=AAA", "invalid_base64"),
        ("AAAAA", "invalid_base64"),
        ("AAA", "invalid_base64"),
        ("=AAA", "invalid_base64"),
        ("AAAA\x00AAA", "invalid_base64"),
        ("data:image/jpeg,AAAA", "invalid_base64"),
        ("data:image/jpeg;base64", "invalid_base64"),
        ("\ud800", "invalid_base64"),
        ("_-8_AAAA", "url_safe_base64"),
        ("_-8_AAA", "url_safe_base64"),
        (None, "image_missing"),
        (4711, "not_base64_text"),
        (True, "not_base64_text"),
        (["AAAA"], "not_base64_text"),
        ({"base64": "AAAA"}, "not_base64_text"),
        ("", "empty_image"),
        ("data:image/jpeg;base64,", "empty_image"),
        (" \n", "empty_image"),
    ],
)
def test_what_is_not_base64_is_refused(api: APIClient, image: Any, code: str) -> None:
    body = json.dumps({"image": image})
    _refused(api.generic("POST", "/api/diagnose", body, "application/json"), 400, code)


def test_a_cut_upload_is_refused(api: APIClient, smear: bytes) -> None:
    text = _text(smear)
    _refused(api.post("/api/diagnose", {"image": text[:1001]}), 400, "invalid_base64")
    problem = _refused(api.post("/api/diagnose", {"image": text[:2000]}), 422, "damaged_image")
    assert problem["fix"] in problem["detail"]


# --- Bodies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", "application/json", 400, "image_missing"),
        (b"", "", 400, "image_missing"),
        (b"", "multipart/form-data; boundary=x", 400, "image_missing"),
        (b"{}", "application/json", 400, "image_missing"),
        (b"{", "application/json", 400, "parse_error"),
        (b"image=AAAA", "application/json", 400, "parse_error"),
        (b"\xff\xfe", "application/json", 400, "parse_error"),
        (b"[" * 100_000, "application/json", 400, "parse_error"),
        (b'{"image": NaN}', "application/json", 400, "parse_error"),
        (b'{"image": "AAAA"}', "application/json; charset=zip", 400, "parse_error"),
        (b"null", "application/json", 400, "invalid"),
        (b"[]", "application/json", 400, "invalid"),
        (b'"AAAA"', "application/json", 400, "invalid"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", 400, "image_missing"),
        (b"anything", "multipart/form-data", 400, "parse_error"),
        (b"image=AAAA", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"\xff\xd8\xff", "image/jpeg", 415, "unsupported_media_type"),
        (b"<image/>", "text/xml", 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_cannot_be_understood_is_refused(
    api: APIClient, body: bytes, content_type: str, status: int, code: str
) -> None:
    _refused(api.generic("POST", "/api/diagnose", body, content_type), status, code)


def test_a_form_value_is_no_file(api: APIClient, smear: bytes) -> None:
    response = api.post("/api/diagnose", {"image": _text(smear)}, format="multipart")
    _refused(response, 400, "not_a_file")


def test_several_files_are_refused(api: APIClient, smear: bytes) -> None:
    files = [SimpleUploadedFile("a.jpg", smear), SimpleUploadedFile("b.jpg", smear)]
    response = api.post("/api/diagnose", {"image": files}, format="multipart")
    _refused(response, 400, "several_images")


def test_an_empty_file_is_refused(api: APIClient) -> None:
    _refused(_post_file(api, b""), 400, "empty_image")


def test_a_form_without_file_is_refused(api: APIClient) -> None:
    response = api.post("/api/diagnose", {"file_name": "x"}, format="multipart")
    _refused(response, 400, "image_missing")


@pytest.mark.parametrize(
    "members",
    [
        {"file_name": "a" * 256},
        {"file_name": ["a"]},
        {"file_name": None},
        {"file_name": "nul\0"},
        {"specimen": {"accession": "S-1"}},
        {"specimen": "nul\0"},
    ],
)
def test_other_members_of_a_wrong_kind_are_named(
    api: APIClient, smear: bytes, members: dict[str, Any]
) -> None:
    problem = _refused(_post(api, smear, **members), 400, "invalid")
    assert set(problem["errors"]) == set(members)


def test_half_a_surrogate_in_a_name_is_refused(api: APIClient, smear: bytes) -> None:
    for member in (b"file_name", b"specimen"):
        body = b'{"image": "%s", "%s": "\\ud800"}' % (_text(smear).encode(), member)
        response = api.generic("POST", "/api/diagnose", body, "application/json")
        _refused(response, 400, "invalid")


@pytest.mark.parametrize("accession", ["S-9", "S-1 S-2", "x" * 500, "1' OR 1=1 --", "٣", "💉"])
def test_an_unknown_specimen_stores_nothing(
    api: APIClient, specimen: Specimen, smear: bytes, accession: str
) -> None:
    _refused(_post(api, smear, specimen=accession), 422, "unknown_specimen")
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_no_specimen_leaves_the_field_unassigned(
    api: APIClient, smear: bytes, predictor: FakePredictor, nothing: str | None
) -> None:
    response = _post(api, smear, specimen=nothing)
    assert (response.status_code, response.json()["specimen"]) == (201, None)


# --- Size --------------------------------------------------------------------------------


def test_an_image_at_the_limit_is_taken_and_one_byte_more_is_not(
    api: APIClient, smear: bytes, predictor: FakePredictor, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = len(smear) - 1
    for send in (_post, _post_file):
        problem = _refused(send(api, smear), 413, "upload_too_large")
        assert "MiB" in problem["detail"]
    settings.MAX_UPLOAD_BYTES = len(smear)
    assert _post(api, smear).status_code == 201
    assert _post_file(api, smear).status_code == 200


@pytest.mark.parametrize("size", [24, 60])
def test_a_body_of_many_megabytes_is_refused(
    api: APIClient, client_signed_in: Client, size: int
) -> None:
    """Between the limit of an image and that of a body, and far above both; for a session too,
    whose CSRF check looks into forms."""
    data = b"\xff\xd8" + bytes(size * 2**20)
    _refused(_post(api, data), 413, "upload_too_large")
    _refused(_post_file(api, data), 413, "upload_too_large")
    file = SimpleUploadedFile("field.jpg", data)
    _refused(client_signed_in.post("/api/diagnose", {"image": file}), 413, "upload_too_large")


class Body:
    """Megabytes of zeros that nobody holds in memory; counts what is read of them."""

    def __init__(self, size: int, *, breaks_off: bool = False) -> None:
        self.size, self.read_so_far, self.largest_read = size, 0, 0
        self.breaks_off = breaks_off

    def read(self, size: int = -1) -> bytes:
        if self.breaks_off:
            raise OSError("the client went away")
        size = self.size - self.read_so_far if size < 0 else min(size, self.size - self.read_so_far)
        self.read_so_far += size
        self.largest_read = max(self.largest_read, size)
        return bytes(size)

    readline = read


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_of_a_body_that_is_too_large_nothing_is_kept(api: APIClient, content_type: str) -> None:
    def send(body: Body) -> None:
        sent = {"wsgi.input": body, "CONTENT_LENGTH": str(body.size)}
        response = api.generic("POST", "/api/diagnose", b"", content_type, **sent)
        _refused(response, 413, "upload_too_large")

    polite = Body(60 * 2**20)
    send(polite)
    assert polite.read_so_far == polite.size, "the client may finish, to hear the answer"
    assert polite.largest_read <= 2**16
    beyond_reason = Body(2**40)
    send(beyond_reason)
    assert beyond_reason.read_so_far == 0
    send(Body(60 * 2**20, breaks_off=True))


def test_a_body_without_length_is_refused(api: APIClient) -> None:
    response = api.generic(
        "POST", "/api/diagnose", b"", "application/json", HTTP_TRANSFER_ENCODING="chunked"
    )
    _refused(response, 411, "length_required")


def test_a_large_field_in_a_form_is_not_lost(
    api: APIClient, predictor: FakePredictor, settings: Settings
) -> None:
    """Django's own limit for files in memory is 2.5 MB."""
    upload = smear_jpeg() + bytes(4 * 2**20)  # what follows the picture is not kept
    assert _post_file(api, upload).status_code == 201


# --- Who ---------------------------------------------------------------------------------


def test_nobody_is_asked_for_a_token(smear: bytes, db: None) -> None:
    problem = _refused(_post(APIClient(), smear), 401, "not_authenticated")
    assert problem["title"] == "Unauthorized"
    assert _post(APIClient(), smear)["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("header", ["Token wrong", "Token", "Token a b", "Bearer x", "Token \xff"])
def test_a_wrong_token_is_refused(smear: bytes, db: None, header: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    response = _post(client, smear)
    assert response.status_code == 401
    assert response["Content-Type"] == PROBLEM


def test_a_deactivated_account_is_refused(api: APIClient, clinician: User, smear: bytes) -> None:
    clinician.is_active = False
    clinician.save()
    assert _post(api, smear).status_code == 401


def test_an_account_needs_the_permission_to_add(
    api: APIClient, clinician: User, smear: bytes
) -> None:
    clinician.groups.clear()
    _refused(_post(api, smear), 403, "permission_denied")
    clinician.user_permissions.add(Permission.objects.get(codename="view_diagnosis"))
    _refused(_post(api, smear), 403, "permission_denied")


def test_a_session_needs_the_csrf_token(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(clinician)
    send = {"data": {"image": _text(smear)}, "content_type": "application/json"}
    _refused(browser.post("/api/diagnose", **send), 403, "permission_denied")  # type: ignore[arg-type]
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
    _post(api, smear)
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
    with django_assert_max_num_queries(17):
        assert _post(api, smear, specimen="S-1").status_code == 201
    with django_assert_max_num_queries(8):
        assert _post(api, smear, specimen="S-1").status_code == 200


def test_an_error_of_the_contract_never_reaches_the_client(
    api: APIClient, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ContractError("/srv/secret/contract.json is malformed")

    for place in ("diagnosis.services.stable_predictor", "diagnosis.api.views.stable_predictor"):
        monkeypatch.setattr(place, broken)
    assert "secret" not in _post(api, smear).text
    assert "secret" not in api.get("/api/models").text
