"""No address takes a body that it has no use for."""

import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from webapp.middleware.body_limits import ANYTHING_ELSE, FORM_OF_FIELDS, body_limit

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
FORM = "multipart/form-data; boundary=x"


class Body:
    """A body that says how much of it was kept."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.largest_read = 0

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        self.largest_read = max(self.largest_read, size)
        return bytes(size)

    readline = read


@pytest.mark.parametrize(
    "address",
    [
        "/login",
        "/logout",
        "/language",
        "/nowhere",
        "/admin/login/",
        "/patients/",
        "/specimens/H-1/sign",
        "/specimens/H-1/held",
        "/diagnoses/7/review",
    ],
)
def test_a_page_that_takes_no_upload(client: Client, address: str) -> None:
    body = Body(ANYTHING_ELSE + 1)
    sent = {"wsgi.input": body, "CONTENT_LENGTH": str(body.left)}
    response = client.generic("POST", address, b"", FORM, **sent)  # type: ignore[arg-type]
    assert response.status_code == 413
    assert "1.0" in response.text
    assert (body.left, body.largest_read) == (0, 2**16), "read to the end, and nothing of it kept"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize("address", ["/api/patients", "/api/specimens", "/api/diagnoses/7"])
def test_a_document_of_30_megabytes(api: APIClient, method: str, address: str) -> None:
    body = json.dumps({"family_name": "x" * 30 * 2**20})
    response = api.generic(method, address, body, "application/json")
    assert response.status_code == 413
    assert response.json()["code"] == "upload_too_large"


@pytest.mark.parametrize("address", ["/login", "/api/patients", "/diagnoses/unassigned"])
def test_a_body_that_does_not_say_how_long_it_is(client: Client, address: str) -> None:
    sent = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    response = client.generic("POST", address, b"", FORM, **sent)  # type: ignore[arg-type]
    assert response.status_code == 411


def test_what_takes_pictures_takes_more() -> None:
    assert body_limit("/diagnoses/unassigned") == FORM_OF_FIELDS
    assert body_limit("/specimens/H-1") == FORM_OF_FIELDS
    assert ANYTHING_ELSE < body_limit("/api/diagnose") < FORM_OF_FIELDS
