"""``/api/diagnoses`` and ``/api/models``: reading, assigning, the audit of both."""

import base64
import hashlib
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.models import Diagnosis
from diagnosis.storage.media import media_path
from patients.models import Specimen
from tests.diagnosis.made.pictures import FakePredictor, encode, live, make_contract, smear_jpeg
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"
NINES = pytest.param("9" * 5000, id="nines")  # more digits than Python takes for a number


@pytest.fixture
def stored(
    clinician: User, specimen: Specimen, predictor: FakePredictor, document: bytes
) -> list[Diagnosis]:
    """A screened field of S-1, a refused one of S-1, a waiting one of nobody; oldest first."""
    rows = []
    for upload, place, run in (
        (smear_jpeg(1), specimen, True),
        (document, specimen, True),
        (smear_jpeg(2), None, False),
    ):
        row, _ = services.diagnosis_create(actor=clinician, upload=upload, specimen=place)
        rows.append(screening.diagnosis_run(diagnosis_id=row.pk) if run else row)
    return rows


def _ids(response: Any) -> list[int]:
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def _last_event() -> AuditEvent:
    event = AuditEvent.objects.first()
    assert event is not None
    return event


# --- The list ----------------------------------------------------------------------------


def test_the_list_is_newest_first(api: APIClient, stored: list[Diagnosis]) -> None:
    first, second, third = (row.pk for row in stored)
    assert _ids(api.get("/api/diagnoses")) == [third, second, first]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=screened", [0]),
        ("status=refused", [1]),
        ("status=received", [2]),
        ("status=failed", []),
        ("outcome=suspicious", [0]),
        ("outcome=rejected", [1]),
        ("specimen=S-1", [1, 0]),
        ("specimen=s-1", [1, 0]),
        ("specimen=S-2", []),
        ("specimen=S-1&status=refused", [1]),
        ("specimen=S-1&status=received", []),
    ],
)
def test_the_list_is_narrowed(
    api: APIClient, stored: list[Diagnosis], query: str, found: list[int]
) -> None:
    assert _ids(api.get(f"/api/diagnoses?{query}")) == [stored[index].pk for index in found]


@pytest.mark.parametrize("name", ["status", "outcome"])
def test_a_value_that_does_not_exist_is_refused(api: APIClient, name: str) -> None:
    response = api.get(f"/api/diagnoses?{name}=done")
    assert (response.status_code, response["Content-Type"]) == (400, PROBLEM)
    assert list(response.json()["errors"]) == [name]


def test_an_empty_filter_is_none(api: APIClient, stored: list[Diagnosis]) -> None:
    assert len(_ids(api.get("/api/diagnoses?status=&outcome=&specimen="))) == 3


def test_the_list_has_pages(api: APIClient, stored: list[Diagnosis]) -> None:
    page = api.get("/api/diagnoses?page_size=2")
    assert _ids(page) == [stored[2].pk, stored[1].pk]
    following = api.get(page.json()["next"])
    assert _ids(following) == [stored[0].pk]
    assert following.json()["next"] is None
    assert _ids(api.get(following.json()["previous"])) == _ids(page)


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "",
        "ä",
        "\x00",
        "p=abc",
        "p=NaN",
        "p=%00",
        "p=1.5",
        "p=-1",
        "p=1_0",
        "p=٣",
        f"p={2**63}",
        f"p={10**30}",
        pytest.param(f"p={'9' * 5000}", id="nines"),
        pytest.param(f"p=1&r={'9' * 5000}", id="nines-backwards"),
        "p=",
        "p=\ud800",
    ],
)
def test_a_crafted_cursor_is_refused(api: APIClient, stored: list[Diagnosis], cursor: str) -> None:
    """As it is, and in the base64 in which the list itself gives it."""
    coded = base64.b64encode(cursor.encode(errors="surrogatepass")).decode()
    for value in (cursor.encode(errors="surrogatepass"), coded):
        response = api.get("/api/diagnoses", {"cursor": value})
        # Without a place in it, it is the beginning.
        expected = (200, 404) if "p=" not in cursor else (404,)
        assert response.status_code in expected
        assert response.status_code == 200 or response["Content-Type"] == PROBLEM


@pytest.mark.parametrize("size", ["NaN", "-1", "0", NINES, str(10**30), "\x00", "1e9", ""])
def test_a_crafted_size_gives_a_page(api: APIClient, stored: list[Diagnosis], size: str) -> None:
    for query in ({"page_size": size}, {"page_size": size, "cursor": "cD0x"}):
        assert api.get("/api/diagnoses", query).status_code == 200


def test_a_page_stays_while_fields_come_in(
    api: APIClient, stored: list[Diagnosis], clinician: User
) -> None:
    page = api.get("/api/diagnoses?page_size=2")
    services.diagnosis_create(actor=clinician, upload=smear_jpeg(3))
    assert _ids(api.get(page.json()["next"])) == [stored[0].pk]


def test_the_list_costs_the_same_however_long(
    api: APIClient,
    stored: list[Diagnosis],
    clinician: User,
    specimen: Specimen,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    api.get("/api/diagnoses")
    with django_assert_num_queries(5):  # token, two of permissions, rows, audit
        api.get("/api/diagnoses")
    for seed in range(4):
        services.diagnosis_create(actor=clinician, upload=smear_jpeg(seed), specimen=specimen)
    with django_assert_num_queries(5):
        api.get("/api/diagnoses")


def test_a_list_is_audited(api: APIClient, stored: list[Diagnosis], clinician: User) -> None:
    api.get("/api/diagnoses?status=refused")
    event = _last_event()
    assert (event.action, event.actor) == ("diagnosis.listed", clinician)
    assert event.detail == {"ids": [stored[1].pk]}


# --- One diagnosis -----------------------------------------------------------------------


def test_one_diagnosis_is_read_and_the_reading_audited(
    api: APIClient, stored: list[Diagnosis], clinician: User
) -> None:
    for row in stored:
        response = api.get(f"/api/diagnoses/{row.pk}")
        assert response.status_code == 200
        assert (response.json()["id"], response.json()["status"]) == (row.pk, row.status)
        assert response["Cache-Control"] == "private, no-store"
        event = _last_event()
        assert (event.action, event.actor) == ("diagnosis.viewed", clinician)
        assert (event.target_type, event.target_id) == ("diagnosis.diagnosis", str(row.pk))
        assert event.request_id == response["X-Request-ID"]


@pytest.mark.parametrize("number", ["4711", "0", str(10**30)])
def test_a_diagnosis_that_is_not_there(api: APIClient, number: str) -> None:
    for suffix in ("", "/image"):
        response = api.get(f"/api/diagnoses/{number}{suffix}")
        assert (response.status_code, response["Content-Type"]) == (404, PROBLEM)
    assert api.patch(f"/api/diagnoses/{number}", {"specimen": "S-1"}).status_code == 404


@pytest.mark.parametrize("method", ["put", "delete", "post"])
def test_a_diagnosis_is_neither_replaced_nor_deleted(
    api: APIClient, administrator: User, stored: list[Diagnosis], method: str
) -> None:
    api.force_authenticate(administrator)
    response = getattr(api, method)(f"/api/diagnoses/{stored[0].pk}", {"outcome": "rejected"})
    assert (response.status_code, response["Content-Type"]) == (405, PROBLEM)
    assert response.json()["code"] == "method_not_allowed"


# --- The image ---------------------------------------------------------------------------


def test_the_image_is_what_is_stored(
    api: APIClient, stored: list[Diagnosis], clinician: User
) -> None:
    row = stored[0]
    response = api.get(f"/api/diagnoses/{row.pk}/image")
    assert response.status_code == 200
    assert hashlib.sha256(response.content).hexdigest() == row.image_sha256
    assert response["Content-Type"] == "image/jpeg"
    assert response["Cache-Control"] == "private, no-store"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == f'inline; filename="field-{row.pk}.jpg"'
    event = _last_event()
    assert (event.action, event.actor) == ("diagnosis.image_viewed", clinician)
    assert event.target_id == str(row.pk)


def test_a_converted_image_is_png(
    api: APIClient, clinician: User, predictor: FakePredictor
) -> None:
    from diagnosis.core.imaging.synthetic import draw_smear

    row, _ = services.diagnosis_create(
        actor=clinician, upload=encode("TIFF", draw_smear(4, 240, 320))
    )
    response = api.get(f"/api/diagnoses/{row.pk}/image")
    assert response["Content-Type"] == "image/png"
    assert response.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("accept", ["image/*", "image/avif,image/webp", "text/html", "nonsense"])
def test_the_image_is_sent_whatever_is_accepted(
    api: APIClient, stored: list[Diagnosis], accept: str
) -> None:
    address = f"/api/diagnoses/{stored[0].pk}/image"
    assert api.get(address, HTTP_ACCEPT=accept).status_code == 200
    assert api.head(address, HTTP_ACCEPT=accept).status_code == 200


def test_an_image_that_cannot_be_read_is_a_problem(api: APIClient, stored: list[Diagnosis]) -> None:
    media_path(stored[0].image_name).unlink()
    response = api.get(f"/api/diagnoses/{stored[0].pk}/image", HTTP_ACCEPT="image/*")
    assert (response.status_code, response["Content-Type"]) == (503, PROBLEM)
    assert response.json()["code"] == "image_file_unreadable"
    assert "fields/" not in response.text


# --- Assigning ---------------------------------------------------------------------------


def test_an_unassigned_field_gets_its_specimen(
    api: APIClient, stored: list[Diagnosis], clinician: User
) -> None:
    response = api.patch(f"/api/diagnoses/{stored[2].pk}", {"specimen": "S-1"})
    assert response.status_code == 200
    assert response.json()["specimen"] == "S-1"
    event = _last_event()
    assert (event.action, event.actor) == ("diagnosis.assigned", clinician)
    german = {"HTTP_ACCEPT_LANGUAGE": "de"}
    again = api.patch(f"/api/diagnoses/{stored[2].pk}", {"specimen": "S-1"}, **german)
    assert (again.status_code, again.json()["code"]) == (409, "already_assigned")
    assert again.json()["detail"] == "The field is already assigned to a specimen."


def test_a_specimen_does_not_get_the_same_upload_twice(
    api: APIClient, stored: list[Diagnosis], clinician: User
) -> None:
    unassigned, _ = services.diagnosis_create(actor=clinician, upload=smear_jpeg(1))
    response = api.patch(f"/api/diagnoses/{unassigned.pk}", {"specimen": "S-1"})
    assert (response.status_code, response.json()["code"]) == (409, "already_there")
    assert response.json()["id"] == stored[0].pk


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"specimen": "S-9"}, 422, "unknown_specimen"),
        ({}, 400, "invalid"),
        ({"specimen": None}, 400, "invalid"),
        ({"specimen": ""}, 400, "invalid"),
        ({"specimen": "\u3000 "}, 400, "invalid"),
        ({"specimen": 1.5}, 400, "invalid"),
        ({"specimen": True}, 400, "invalid"),
        ([], 400, "invalid"),
    ],
)
def test_a_wrong_assignment_changes_nothing(
    api: APIClient, stored: list[Diagnosis], body: Any, status: int, code: str
) -> None:
    response = api.patch(f"/api/diagnoses/{stored[2].pk}", body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    stored[2].refresh_from_db()
    assert stored[2].specimen is None


def test_assigning_changes_nothing_else(api: APIClient, stored: list[Diagnosis]) -> None:
    before = api.get(f"/api/diagnoses/{stored[2].pk}").json()
    address = f"/api/diagnoses/{stored[2].pk}"
    body = {"specimen": "S-1", "status": "screened", "outcome": "not_suspicious", "id": 1}
    refusal = api.patch(address, body)
    assert refusal.status_code == 400
    assert set(refusal.json()["errors"]) == {"status", "outcome", "id"}
    assert api.get(address).json() == before
    assert api.patch(address, {"specimen": "S-1"}).json() == {**before, "specimen": "S-1"}


# --- The model ---------------------------------------------------------------------------


def test_the_live_version_describes_itself(api: APIClient, predictor: FakePredictor) -> None:
    (model,) = api.get("/api/models").json()
    contract = predictor.contract
    assert {key: model[key] for key in ("role", "name", "version", "digest", "architecture")} == {
        "role": "stable",
        "name": contract.name,
        "version": contract.version,
        "digest": contract.digest,
        "architecture": contract.architecture,
    }
    assert model["labels"] == list(contract.labels)
    assert model["metrics"] == contract.metrics
    assert model["thresholds"] == {
        "suspicious_min": 0.5,
        "not_suspicious_max": 0.1,
        "ood_max": 10.0,
        **contract.thresholds,
    }


def test_a_canary_stands_beside_it(
    api: APIClient, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = FakePredictor(make_contract(version=8))
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(predictor, canary))
    found = [(model["role"], model["version"]) for model in api.get("/api/models").json()]
    assert found == [("stable", 7), ("canary", 8)]


# --- Who ---------------------------------------------------------------------------------


def _addresses(diagnosis: Diagnosis) -> list[str]:
    detail = f"/api/diagnoses/{diagnosis.pk}"
    return ["/api/diagnoses", detail, f"{detail}/image", "/api/models"]


def test_nobody_reads_without_signing_in(client: Client, stored: list[Diagnosis]) -> None:
    for address in _addresses(stored[0]):
        response = client.get(address)
        assert (response.status_code, response["Content-Type"]) == (401, PROBLEM), address
        assert response["WWW-Authenticate"] == "Token"


def test_reading_needs_the_permission_to_view(
    api: APIClient, clinician: User, stored: list[Diagnosis]
) -> None:
    clinician.groups.clear()
    clinician.user_permissions.add(Permission.objects.get(codename="add_diagnosis"))
    before = AuditEvent.objects.count()
    for address in _addresses(stored[0]):
        response = api.get(address)
        assert (response.status_code, response["Content-Type"]) == (403, PROBLEM), address
    assert AuditEvent.objects.exclude(action="access.refused").count() == before


def test_assigning_needs_the_permission_to_change(
    api: APIClient, clinician: User, stored: list[Diagnosis]
) -> None:
    clinician.groups.clear()
    clinician.user_permissions.set(
        Permission.objects.filter(codename__in=["add_diagnosis", "view_diagnosis"])
    )
    response = api.patch(f"/api/diagnoses/{stored[2].pk}", {"specimen": "S-1"})
    assert response.status_code == 403


def test_a_session_reads_too(client_signed_in: Client, stored: list[Diagnosis]) -> None:
    for address in _addresses(stored[0]):
        assert client_signed_in.get(address).status_code == 200, address
