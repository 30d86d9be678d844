"""The API of patients and specimens takes nothing for what it is not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from patients.models import Patient, Specimen

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

VERBS = ("add", "change", "delete", "view")
WRITING = [
    ("POST", "/api/patients"),
    ("PUT", "/api/patients/{patient}"),
    ("PATCH", "/api/patients/{patient}"),
    ("POST", "/api/specimens"),
    ("PUT", "/api/specimens/{specimen}"),
    ("PATCH", "/api/specimens/{specimen}"),
]
NINES = pytest.param("9" * 5000, id="nines")  # more digits than Python takes for a number


@pytest.fixture
def api(api_of: Callable[..., APIClient]) -> APIClient:
    return api_of(*(f"{verb}_{model}" for verb in VERBS for model in ("patient", "specimen")))


def _send(api: APIClient, method: str, address: str, specimen: Specimen, body: str | bytes) -> Any:
    address = address.format(patient=specimen.patient_id, specimen=specimen)
    return api.generic(method, address, body, "application/json")


def _stored() -> list[Any]:
    return [*Patient.objects.values(), *Specimen.objects.values()]


@pytest.mark.parametrize(
    "value",
    [
        1.5, 1.0, True, False, "1.0", " 1 ", "1 ", "1_0", "+1", "-1", -1, "٣", "", " ", "1\x00",
        2**63, 2**64, 10**30, str(2**63), NINES, 1e300, [1], {"id": 1}, "\ud800", None,
    ],
)  # fmt: skip
def test_a_patient_is_named_by_a_whole_number(
    specimen: Specimen, api: APIClient, value: Any
) -> None:
    before = _stored()
    for method, address in WRITING[3:]:
        body = json.dumps({"accession_number": "NEW", "patient": value})
        response = _send(api, method, address, specimen, body)
        assert response.status_code == 400, response.content
        assert set(response.json()["errors"]) == {"patient"}
    assert _stored() == before


def test_digits_in_text_are_a_whole_number(specimen: Specimen, api: APIClient) -> None:
    given = {"accession_number": "NEW", "patient": str(specimen.patient_id)}
    assert api.post("/api/specimens", given).status_code == 201


@pytest.mark.parametrize(
    "value", ["1.0", "1.5", " 1", "1_0", "٣", "-1", "NaN", "1e3", "\x00", str(2**63), NINES]
)
def test_a_list_is_narrowed_by_a_whole_number(api: APIClient, value: str) -> None:
    response = api.get("/api/specimens", {"patient": value})
    assert (response.status_code, set(response.json()["errors"])) == (400, {"patient"})


@pytest.mark.parametrize(
    "page", ["NaN", "0", "-1", "1.5", "\x00", str(10**30), NINES, "inf", "٣", "\ud800"]
)
def test_a_crafted_page_is_not_there(api: APIClient, page: str) -> None:
    value = page.encode(errors="surrogatepass")
    for address in ("/api/patients", "/api/specimens"):
        assert api.get(address, {"page": value}).status_code == 404


@pytest.mark.parametrize("name", ["nmae", "patient_id", "", "\ud800", "a\x00b", "created_At"])
def test_an_unknown_member_is_named(specimen: Specimen, api: APIClient, name: str) -> None:
    before = _stored()
    for method, address in WRITING:
        given: dict[str, Any] = {"name": "B", "medical_record_number": "2"}
        if "specimens" in address:
            given = {"accession_number": "NEW", "patient": specimen.patient_id}
        body = json.dumps({**given, name: {"name": "B"}})
        response = _send(api, method, address, specimen, body)
        assert response.status_code == 400
        assert list(response.json()["errors"]) == [name]
    assert _stored() == before


def test_what_was_read_can_be_changed_and_sent_again(specimen: Specimen, api: APIClient) -> None:
    for address, name, value in (
        (f"/api/patients/{specimen.patient_id}", "name", "Beta, Bert"),
        (f"/api/specimens/{specimen}", "stain", "wright"),
    ):
        read = api.get(address).json()
        answer = api.put(address, {**read, name: value})
        assert answer.status_code == 200, answer.content
        assert answer.json() == {**read, name: value}


@pytest.mark.parametrize(
    ("name", "value"), [("id", 4711), ("is_demonstration", True), ("created_at", None)]
)
def test_what_the_server_sets_is_set_by_nobody_else(
    patient: Patient, api: APIClient, name: str, value: Any
) -> None:
    given = {"name": "B", "medical_record_number": "2", name: value}
    for response in (
        api.post("/api/patients", given),
        api.patch(f"/api/patients/{patient.pk}", given),
    ):
        assert (response.status_code, set(response.json()["errors"])) == (400, {name})


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'[{"name": "B"}]', b'"name"', b"1", b"true", b"{", b"\x00", b"\xff",
        b'{"name": NaN}', b'{"name": 1e999}', b'{"name": -Infinity}', b'{"name": "\\ud800"}',
        b'{"name": "a\\u0000b"}', b'{"sex": "\\udfff"}', b'{"stain": "\\u0000"}',
        b'{"sex": {"a": 1}}', b'{"name": "A", "name": "B"}', b'{"patient": 1e999}',
        b'{"patient": {"a": 1, "a": 2}}', b'{"collected_at": 1e30}', b'{"date_of_birth": 20200101}',
        b'{"date_of_birth": "\\ud800"}', b'{"collected_at": "\\u0000"}', b'{"collected_at": true}',
        b'{"accession_number": 1.5}', b'{"medical_record_number": 1e3}',
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"medical_record_number": %s}' % (b"9" * 5000), id="nines"),
    ],
)  # fmt: skip
def test_no_document_is_an_error_of_the_server(
    specimen: Specimen, api: APIClient, body: bytes
) -> None:
    before = _stored()
    for method, address in WRITING:
        response = _send(api, method, address, specimen, body)
        nothing_to_change = method == "PATCH" and body == b""
        assert response.status_code == (200 if nothing_to_change else 400), response.content
    assert _stored() == before


@pytest.mark.parametrize("address", ["patients", "specimens"])
def test_a_crafted_address_is_not_there(specimen: Specimen, api: APIClient, address: str) -> None:
    for key in (str(10**30), "9" * 5000, "%00", "%ff", "NaN", "-1", "1.5", "٣", "%ed%a0%80"):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            response = api.generic(method, f"/api/{address}/{key}", b"{}", "application/json")
            assert response.status_code == 404, (method, key, response.content)
