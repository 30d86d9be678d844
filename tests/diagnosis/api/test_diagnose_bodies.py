"""``POST /api/diagnose``: base64, forms and bodies of every kind, and how large they may be."""

import base64
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.models import Diagnosis
from patients.models import Specimen
from tests.diagnosis.api.sending import as_text, post, post_file, refused
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


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
    assert api.post("/api/diagnose", {"image": prefix + as_text(smear)}).status_code == 201


def test_line_breaks_are_taken(api: APIClient, smear: bytes, predictor: FakePredictor) -> None:
    for text in (
        base64.encodebytes(smear).decode(),
        base64.encodebytes(smear).decode().replace("\n", "\r\n"),
        f"  {as_text(smear)}\n",
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
    refused(api.generic("POST", "/api/diagnose", body, "application/json"), 400, code)


def test_a_cut_upload_is_refused(api: APIClient, smear: bytes) -> None:
    text = as_text(smear)
    refused(api.post("/api/diagnose", {"image": text[:1001]}), 400, "invalid_base64")
    problem = refused(api.post("/api/diagnose", {"image": text[:2000]}), 422, "damaged_image")
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
        (b'{"image": "AAAA", "image": "AAAA"}', "application/json", 400, "parse_error"),
        (b'{"image": 1e999}', "application/json", 400, "parse_error"),
        (b'{"image": -Infinity}', "application/json", 400, "parse_error"),
        (b'{"image": %s}' % (b"9" * 4400), "application/json", 400, "parse_error"),
        (b'{"image": "AAAA"}', "application/json; charset=zip", 415, "unsupported_charset"),
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
    refused(api.generic("POST", "/api/diagnose", body, content_type), status, code)


def test_a_form_value_is_no_file(api: APIClient, smear: bytes) -> None:
    response = api.post("/api/diagnose", {"image": as_text(smear)}, format="multipart")
    refused(response, 400, "not_a_file")


def test_several_files_are_refused(api: APIClient, smear: bytes) -> None:
    files = [SimpleUploadedFile("a.jpg", smear), SimpleUploadedFile("b.jpg", smear)]
    response = api.post("/api/diagnose", {"image": files}, format="multipart")
    refused(response, 400, "several_images")


def test_an_empty_file_is_refused(api: APIClient) -> None:
    refused(post_file(api, b""), 400, "empty_image")


def test_a_form_without_file_is_refused(api: APIClient) -> None:
    response = api.post("/api/diagnose", {"file_name": "x"}, format="multipart")
    refused(response, 400, "image_missing")


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
    problem = refused(post(api, smear, **members), 400, "invalid")
    assert set(problem["errors"]) == set(members)


def test_half_a_surrogate_in_a_name_is_refused(api: APIClient, smear: bytes) -> None:
    for member in (b"file_name", b"specimen"):
        body = b'{"image": "%s", "%s": "\\ud800"}' % (as_text(smear).encode(), member)
        response = api.generic("POST", "/api/diagnose", body, "application/json")
        refused(response, 400, "invalid")


@pytest.mark.parametrize("accession", ["S-9", "S-1 S-2", "x" * 500, "1' OR 1=1 --", "٣", "💉"])
def test_an_unknown_specimen_stores_nothing(
    api: APIClient, specimen: Specimen, smear: bytes, accession: str
) -> None:
    refused(post(api, smear, specimen=accession), 422, "unknown_specimen")
    assert not AuditEvent.objects.exists()


def test_no_specimen_leaves_the_field_unassigned(
    api: APIClient, smear: bytes, predictor: FakePredictor
) -> None:
    for response in (post(api, smear, specimen=None), post(api, smear), post_file(api, smear)):
        assert response.status_code in (200, 201)
        assert response.json()["specimen"] is None
    assert Diagnosis.objects.count() == 1


@pytest.mark.parametrize("blank", ["", "   ", "\t\r\n", "\u3000"])
def test_a_blank_specimen_is_refused(api: APIClient, smear: bytes, blank: str) -> None:
    for send in (post, post_file):
        problem = refused(send(api, smear, specimen=blank), 400, "invalid")
        assert "leave `specimen` out" in problem["errors"]["specimen"][0]


@pytest.mark.parametrize("name", ["outcome", "Specimen", "filename", "id", "", "\ud800", "image[]"])
def test_an_unknown_member_is_named(api: APIClient, smear: bytes, name: str) -> None:
    body = json.dumps({"image": as_text(smear), name: "S-1", "specimen": "S-1"})
    response = api.generic("POST", "/api/diagnose", body, "application/json")
    assert list(refused(response, 400, "invalid")["errors"]) == [name]


def test_an_unknown_part_is_named(
    api: APIClient, client_signed_in: Client, smear: bytes, predictor: FakePredictor
) -> None:
    assert set(refused(post_file(api, smear, sample="S-1"), 400, "invalid")["errors"]) == {"sample"}
    twice = {"file_name": ["a", "b"]}
    assert set(refused(post_file(api, smear, **twice), 400, "invalid")["errors"]) == {"file_name"}
    # What a browser's form holds beside: that is no member.
    file = SimpleUploadedFile("field.jpg", smear)
    sent = {"image": file, "csrfmiddlewaretoken": "x"}
    assert client_signed_in.post("/api/diagnose", sent).status_code == 201


# --- Size --------------------------------------------------------------------------------


def test_an_image_at_the_limit_is_taken_and_one_byte_more_is_not(
    api: APIClient, smear: bytes, predictor: FakePredictor, settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = len(smear) - 1
    for send in (post, post_file):
        problem = refused(send(api, smear), 413, "upload_too_large")
        assert "MiB" in problem["detail"]
    settings.MAX_UPLOAD_BYTES = len(smear)
    assert post(api, smear).status_code == 201
    assert post_file(api, smear).status_code == 200


@pytest.mark.parametrize("size", [24, 60])
def test_a_body_of_many_megabytes_is_refused(
    api: APIClient, client_signed_in: Client, size: int
) -> None:
    """Between the limit of an image and that of a body, and far above both; for a session too,
    whose CSRF check looks into forms."""
    data = b"\xff\xd8" + bytes(size * 2**20)
    refused(post(api, data), 413, "upload_too_large")
    refused(post_file(api, data), 413, "upload_too_large")
    file = SimpleUploadedFile("field.jpg", data)
    refused(client_signed_in.post("/api/diagnose", {"image": file}), 413, "upload_too_large")


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
        refused(response, 413, "upload_too_large")

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
    refused(response, 411, "length_required")


def test_a_large_field_in_a_form_is_not_lost(
    api: APIClient, predictor: FakePredictor, settings: Settings
) -> None:
    """Django's own limit for files in memory is 2.5 MB."""
    upload = smear_jpeg() + bytes(4 * 2**20)  # what follows the picture is not kept
    assert post_file(api, upload).status_code == 201
