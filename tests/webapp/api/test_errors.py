"""One shape for every error under /api/."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from django.test import Client, RequestFactory
from pytest_django import Settings
from rest_framework import exceptions
from rest_framework.test import APIClient

from webapp.api.errors import Problem, bad_request, problem, problem_response

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
PROBLEM = "application/problem+json"


def _document(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == PROBLEM
    document = response.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(document)
    assert document["status"] == status
    assert document["request_id"] == response["X-Request-ID"]
    return document


@pytest.mark.parametrize("address", ["/api/", "/api/nothing", "/api/diagnose/", "/api/diagnoses/x"])
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_address_is_a_problem_not_a_redirect(
    client: Client, address: str, method: str
) -> None:
    document = _document(getattr(client, method)(address), 404)
    assert document["code"] == "not_found"
    assert "/api/docs" in document["detail"]


def test_other_addresses_answer_pages(client_signed_in: Client) -> None:
    response = client_signed_in.get("/nothing")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_a_method_that_is_not_there(api: APIClient) -> None:
    assert _document(api.get("/api/diagnose"), 405)["code"] == "method_not_allowed"


def test_an_answer_nobody_can_render(api: APIClient) -> None:
    assert _document(api.get("/api/diagnoses", HTTP_ACCEPT="text/csv"), 406)["code"] == (
        "not_acceptable"
    )


def test_a_page_for_browsers_is_no_part_of_the_api(api: APIClient) -> None:
    response = api.get("/api/diagnoses", HTTP_ACCEPT="application/json, text/html")
    assert response["Content-Type"] == "application/json"


def test_a_request_that_django_finds_suspicious(api: APIClient) -> None:
    response = api.get("/api/diagnoses", HTTP_HOST="evil.example.org")
    assert _document(response, 400)["code"] == "bad_request"


def test_too_many_form_fields(api: APIClient, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 3
    fields = {f"field{number}": "x" for number in range(5)}
    assert _document(api.post("/api/diagnose", fields, format="multipart"), 400)


def test_suspicions_on_pages_answer_pages() -> None:
    request = RequestFactory().get("/patients")
    assert bad_request(request, ValueError())["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404("secret"), 404, "not_found"),
        (PermissionDenied("secret"), 403, "permission_denied"),
        (RequestDataTooBig("secret"), 413, "upload_too_large"),
        (exceptions.Throttled(wait=3), 429, "throttled"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.ParseError(), 400, "parse_error"),
        (Problem(409, "taken", "It is taken."), 409, "taken"),
    ],
)
def test_what_is_raised_becomes_a_document(error: Exception, status: int, code: str) -> None:
    response = problem_response(error, {})
    assert response is not None
    assert (response.status_code, response.data["status"]) == (status, status)
    assert response.data["code"] == code
    assert response.content_type == PROBLEM
    assert "secret" not in str(response.data)


def test_a_wait_is_told() -> None:
    response = problem_response(exceptions.Throttled(wait=3), {})
    assert response is not None
    assert response["Retry-After"] == "3"


def test_fields_are_named() -> None:
    response = problem_response(exceptions.ValidationError({"name": ["Missing."]}), {})
    assert response is not None
    assert response.data["errors"] == {"name": ["Missing."]}
    assert response.data["code"] == "invalid"


def test_a_problem_has_members_of_its_own() -> None:
    response = problem_response(Problem(422, "refused", "No.", validation={"score": 1}), {})
    assert response is not None
    assert response.data["validation"] == {"score": 1}
    assert response.data["title"] == "Unprocessable Entity"


def test_what_nobody_foresaw_is_left_to_the_500_page() -> None:
    assert problem_response(ZeroDivisionError(), {}) is None


def test_a_document_outside_a_request() -> None:
    assert problem(404, "not_found", "Nothing.")["request_id"] == "-"
