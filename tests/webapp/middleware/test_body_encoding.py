"""Bodies that are compressed, or text in another encoding: refused everywhere, and in words."""

import gzip
import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from diagnosis.models import Diagnosis
from patients.models import Patient

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
PROBLEM = "application/problem+json"
JSON = "application/json"
FORM = "multipart/form-data; boundary=x"

WRITING = [
    ("post", "/api/diagnose"),
    ("post", "/api/patients"),
    ("put", "/api/patients/1"),
    ("patch", "/api/specimens/S-1"),
    ("patch", "/api/diagnoses/1"),
]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "GZIP", "gzip, br"])
def test_a_compressed_body_is_refused(api: APIClient, coding: str) -> None:
    body = gzip.compress(b'{"image": "AAAA"}')
    for method, address in WRITING:
        for kind in (JSON, FORM):
            response = api.generic(method, address, body, kind, HTTP_CONTENT_ENCODING=coding)
            assert (response.status_code, response["Content-Type"]) == (415, PROBLEM)
            document = response.json()
            assert document["code"] == "unsupported_content_encoding"
            assert document["fix"] == "Send the body without Content-Encoding."
            assert "gzip" not in document["detail"], "no codec's words"


def test_identity_is_no_encoding(api: APIClient) -> None:
    for coding in ("identity", "", " Identity "):
        response = api.generic("POST", "/api/diagnose", b"{}", JSON, HTTP_CONTENT_ENCODING=coding)
        assert response.json()["code"] == "image_missing"


# Of Python's codecs the first are for text, the others turn text into text or bytes into bytes.
@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "utf-7", "zip", "rot13", "idna", "what"])
def test_another_charset_is_refused(api: APIClient, charset: str) -> None:
    for method, address in WRITING:
        for kind in (f"{JSON}; charset={charset}", f'{FORM}; charset="{charset.upper()}"'):
            response = api.generic(method, address, b"{}", kind)
            assert (response.status_code, response["Content-Type"]) == (415, PROBLEM)
            assert response.json()["code"] == "unsupported_charset"


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", '"utf-8"', "us-ascii"])
def test_utf_8_by_any_of_its_names_is_taken(api: APIClient, charset: str) -> None:
    given = {"name": "Zoë", "medical_record_number": charset.strip('"')}
    response = api.generic(
        "POST", "/api/patients", json.dumps(given), f"application/json; charset={charset}"
    )
    assert response.status_code == 201, response.content
    assert Patient.objects.get().name == "Zoë"


@pytest.mark.parametrize("address", ["/login", "/diagnoses/unassigned", "/patients/new", "/admin/"])
@pytest.mark.parametrize(("kind", "coding"), [(FORM, "gzip"), (f"{FORM}; charset=zip", "")])
def test_pages_refuse_them_too(
    client_signed_in: Client, address: str, kind: str, coding: str
) -> None:
    sent = {"HTTP_CONTENT_ENCODING": coding}
    response = client_signed_in.generic("POST", address, b"--x--", kind, **sent)
    assert response.status_code == 415
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert not Diagnosis.objects.exists()


@pytest.mark.parametrize("body", [b"\xff\xfe{\x00}\x00", "{}".encode("utf-32"), b'"\xe4"'])
def test_undeclared_it_is_not_json(api: APIClient, body: bytes) -> None:
    response = api.generic("POST", "/api/diagnose", body, JSON)
    assert (response.status_code, response.json()["code"]) == (400, "parse_error")
    assert "UTF-8" in response.json()["detail"]
