"""REST: patients and specimens."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.response import Response
from rest_framework.test import APIClient

from diagnosis.models import Diagnosis
from patients import services
from patients.models import Patient, Specimen
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db

VERBS = ("add", "change", "delete", "view")


@pytest.fixture
def api(api_of: Callable[..., APIClient]) -> APIClient:
    return api_of(*(f"{verb}_{model}" for verb in VERBS for model in ("patient", "specimen")))


def assert_problem(response: Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() >= {"type", "title", "status", "detail", "code", "request_id"}
    assert (body["status"], body["code"]) == (status, code)
    return body


def test_patient_from_cradle_to_grave(api: APIClient) -> None:
    given = {
        "medical_record_number": " ab-1 ",
        "name": "Nguyen, Tom",
        "date_of_birth": "2012-05-06",
        "sex": "male",
    }
    created = api.post("/api/patients", given)
    assert created.status_code == 201
    address = f"/api/patients/{created.json()['id']}"
    assert api.get(address).json() == created.json()
    assert created.json()["medical_record_number"] == "AB-1"
    assert AuditEvent.objects.first().action == "patient.viewed"
    assert api.patch(address, {"sex": "other"}).json()["sex"] == "other"
    assert AuditEvent.objects.first().detail == {
        "fields": ["sex"],
        "from": {"sex": "male"},
        "to": {"sex": "other"},
    }
    replaced = api.put(address, {"medical_record_number": "AB-2", "name": "Nguyen, T"})
    assert replaced.json()["medical_record_number"] == "AB-2"
    assert api.delete(address).status_code == 204
    assert AuditEvent.objects.first().action == "patient.deleted"
    assert_problem(api.get(address), 404, "not_found")


def test_specimen_from_cradle_to_grave(patient: Patient, api: APIClient) -> None:
    given = {
        "accession_number": "h24.7_b",
        "patient": patient.pk,
        "collected_at": "2026-02-03T09:30:00Z",
        "received_at": "2026-02-03T12:00:00+01:00",
        "stain": "may-grunwald-giemsa",
        "site": "bone-marrow-aspirate",
    }
    created = api.post("/api/specimens", given)
    assert created.status_code == 201
    assert created.json()["received_at"] == "2026-02-03T11:00:00Z"
    assert api.get("/api/specimens/H24.7_B").json() == created.json()
    assert api.get("/api/specimens/h24.7_b").json() == created.json()
    assert api.patch("/api/specimens/H24.7_B", {"stain": "wright"}).json()["stain"] == "wright"
    assert api.delete("/api/specimens/H24.7_B").status_code == 204
    assert_problem(api.get("/api/specimens/H24.7_B"), 404, "not_found")


@pytest.mark.parametrize(
    ("address", "given", "wrong"),
    [
        ("patients", {}, {"medical_record_number", "name"}),
        ("patients", {"medical_record_number": "mrn-1", "name": "A"}, {"medical_record_number"}),
        ("patients", {"medical_record_number": " ", "name": "A"}, {"medical_record_number"}),
        ("patients", {"medical_record_number": "Ä", "name": "A"}, {"medical_record_number"}),
        ("patients", {"medical_record_number": "2", "name": "A\x00"}, {"name"}),
        ("patients", {"medical_record_number": "2", "name": "A", "sex": "x"}, {"sex"}),
        (
            "patients",
            {"medical_record_number": "2", "name": "A", "date_of_birth": "2999-01-01"},
            {"date_of_birth"},
        ),
        ("specimens", {"accession_number": "2", "patient": 999_999}, {"patient"}),
        ("specimens", {"accession_number": "2", "patient": 10**30}, {"patient"}),
        ("specimens", {"accession_number": "2", "patient": None}, {"patient"}),
        ("specimens", {"accession_number": "a/b"}, {"accession_number"}),
        ("specimens", {"accession_number": "h24-1"}, {"accession_number"}),
        ("specimens", {"accession_number": "2", "stain": "ink"}, {"stain"}),
        (
            "specimens",
            {
                "accession_number": "2",
                "collected_at": "2026-02-03T09:30:00Z",
                "received_at": "2026-02-03T09:29:59Z",
            },
            {"received_at"},
        ),
        ("specimens", {"accession_number": "2", "collected_at": "2999-01-01"}, {"collected_at"}),
    ],
)
def test_what_is_wrong_is_named(
    specimen: Specimen, api: APIClient, address: str, given: dict[str, Any], wrong: set[str]
) -> None:
    if address == "specimens":
        given = {"patient": specimen.patient_id} | given
    body = assert_problem(api.post(f"/api/{address}", given), 400, "invalid")
    assert body["errors"].keys() == wrong
    assert (Patient.objects.count(), Specimen.objects.count()) == (1, 1)


def test_a_number_taken_meanwhile_is_the_usual_refusal(
    patient: Patient, api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost_race(**kwargs: Any) -> Patient:
        return services._create(Patient(medical_record_number="MRN-1", name="A"), None)

    monkeypatch.setattr("patients.api.serializers.services.patient_create", lost_race)
    response = api.post("/api/patients", {"medical_record_number": "NEW", "name": "A"})
    body = assert_problem(response, 400, "invalid")
    assert body["errors"].keys() == {"medical_record_number"}


@pytest.mark.parametrize("entity", ["patient", "specimen"])
def test_delete_is_refused_where_there_are_diagnoses(
    diagnosis: Diagnosis, api: APIClient, entity: str
) -> None:
    specimen = Specimen.objects.get()
    key: Any = specimen.patient_id if entity == "patient" else specimen.accession_number
    response = api.delete(f"/api/{entity}s/{key}")
    body = assert_problem(response, 409, f"{entity}_has_diagnoses")
    assert "kept for ever" in body["detail"]
    assert Specimen.objects.get() == specimen


def test_lists_are_paged_searched_and_audited(specimen: Specimen, api: APIClient) -> None:
    Patient.objects.bulk_create(
        Patient(medical_record_number=f"P{number:02}", name=f"Silva, {number:02}")
        for number in range(51)
    )
    first = api.get("/api/patients").json()
    assert (first["count"], len(first["results"]), first["previous"]) == (52, 50, None)
    assert len(AuditEvent.objects.first().detail["ids"]) == 50
    assert len(api.get(first["next"]).json()["results"]) == 2
    assert_problem(api.get("/api/patients?page=9"), 404, "not_found")
    found = api.get("/api/patients", {"search": "h24-1"}).json()["results"]
    assert [row["name"] for row in found] == ["Haddad, Leila"]
    assert AuditEvent.objects.first().detail == {"ids": [specimen.patient_id]}


def test_specimens_of_one_patient(specimen: Specimen, api: APIClient) -> None:
    other = services.patient_create(actor=None, medical_record_number="2", name="B")
    services.specimen_create(actor=None, patient=other, accession_number="OTHER")

    def listed(**query: Any) -> list[str]:
        results = api.get("/api/specimens", query).json()["results"]
        return [row["accession_number"] for row in results]

    assert listed() == ["OTHER", "H24-1"]
    assert listed(patient=specimen.patient_id) == ["H24-1"]
    assert listed(patient=999_999) == []
    assert listed(search="haddad h24") == ["H24-1"]
    for wrong in ("x", str(10**30)):
        body = assert_problem(api.get("/api/specimens", {"patient": wrong}), 400, "invalid")
        assert body["errors"].keys() == {"patient"}


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        ("get", "view"),
        ("post", "add"),
        ("put", "change"),
        ("patch", "change"),
        ("delete", "delete"),
    ],
)
@pytest.mark.parametrize("entity", ["patient", "specimen"])
def test_each_method_wants_its_own_permission(
    specimen: Specimen,
    api_of: Callable[..., APIClient],
    entity: str,
    method: str,
    verb: str,
) -> None:
    key: Any = specimen.patient_id if entity == "patient" else specimen.accession_number
    address = f"/api/{entity}s" + ("" if method == "post" else f"/{key}")
    assert_problem(getattr(APIClient(), method)(address, {}), 401, "not_authenticated")
    api = api_of(*(f"{other}_{entity}" for other in VERBS if other != verb))
    assert_problem(getattr(api, method)(address, {}), 403, "permission_denied")


@pytest.mark.parametrize(
    "address", ["/api/patients/x", "/api/patients/", f"/api/patients/{10**30}"]
)
def test_what_is_not_there_is_a_problem_too(api: APIClient, address: str) -> None:
    assert_problem(api.get(address), 404, "not_found")
