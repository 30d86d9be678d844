"""Parts of forms as clients write them: the file is taken, whatever its name is written in."""

import base64

import pytest
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.models import Diagnosis
from tests.diagnosis.made.pictures import FakePredictor, live, make_contract, smear_jpeg

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
FORM = "multipart/form-data; boundary=X"


@pytest.fixture(autouse=True)
def _predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "diagnosis.fields.live_model._current", live(FakePredictor(make_contract()))
    )


def _body(field: str, parameters: bytes, data: bytes, *, headers: bytes = b"") -> bytes:
    return (
        b'--X\r\nContent-Disposition: form-data; name="%s"; ' % field.encode()
        + parameters
        + b"\r\nContent-Type: image/jpeg\r\n"
        + headers
        + b"\r\n"
        + data
        + b"\r\n--X--\r\n"
    )


NAMES = [
    # (parameters of the header, the name that is kept)
    (b'filename="field.jpg"', "field.jpg"),
    ('filename="Präparat.jpg"'.encode(), "Präparat.jpg"),
    ('filename="标本.jpg"'.encode(), "标本.jpg"),
    ('filename="Präparat.jpg"'.encode("latin-1"), "Präparat.jpg"),
    ('filename="标本.jpg"'.encode("gbk"), "%B1%EA%B1%BE.jpg"),
    ('filename="表.jpg"'.encode("shift-jis"), "%95%5C.jpg"),
    ('filename="表"'.encode("shift-jis"), "%95%5C"),
    ('filename="プレパラート.jpg"'.encode("shift-jis"), None),
    ('filename="Препарат.jpg"'.encode("koi8-r"), "%F0%D2%C5%D0%C1%D2%C1%D4.jpg"),
    (b"filename*=UTF-8''Pr%C3%A4parat.jpg", "Präparat.jpg"),
    (b"filename*=iso-8859-1'de'Pr%E4parat.jpg", "Präparat.jpg"),
    (b"filename=\"x.jpg\"; filename*=UTF-8''%E6%A0%87.jpg", "标.jpg"),
    (b"filename=field.jpg", "field.jpg"),
    (b'filename=""', "unnamed"),
    (b'filename="   "', None),
    (b'filename="."', "unnamed"),
    (b'filename="../"', "unnamed"),
    (b'filename="../../etc/passwd.jpg"', "passwd.jpg"),
    (b'filename="C:\\Scans\\field.jpg"', "field.jpg"),
    (b'filename="\x00\x01\x1b"', "unnamed"),
    (b'filename="a\x00b\x1b[31m.jpg"', "ab[31m.jpg"),
    ('filename="a\u202egpj.exe"'.encode(), "agpj.exe"),
    (b'filename="&lt;b&gt;.jpg"', "<b>.jpg"),
    (b'filename="%s.jpg"' % (b"a" * 400), "a" * 251 + ".jpg"),
    (('filename="%s.jpg"' % ("标" * 300)).encode(), "标" * 251 + ".jpg"),
    (b"filename*=UTF-8''%s.jpg" % (b"%E6%A0%87" * 255), "标" * 251 + ".jpg"),
    (b'filename="a.%s"' % (b"b" * 400), "a." + "b" * 19),
]


@pytest.mark.parametrize(("parameters", "kept"), NAMES, ids=lambda value: ascii(value)[:40])
def test_the_file_is_taken(
    api: APIClient, client_signed_in: Client, parameters: bytes, kept: str | None
) -> None:
    body = _body("image", parameters, smear_jpeg())
    response = api.generic("POST", "/api/diagnose", body, FORM)
    assert response.status_code == 201, response.content
    body = _body("fields", parameters, smear_jpeg() + b"later")
    assert client_signed_in.post("/diagnoses/unassigned", body, FORM).status_code == 200
    names = set(Diagnosis.objects.values_list("file_name", flat=True))
    assert Diagnosis.objects.count() == 2
    assert names == {kept} or kept is None


@pytest.mark.parametrize("size", [0, 1])
def test_a_large_form_keeps_files_with_strange_suffixes(
    client_signed_in: Client, settings: Settings, size: int
) -> None:
    """Beyond a size they are written to files that are named after the suffix."""
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = size
    body = _body("fields", ('filename="a.%s"' % ("标" * 250)).encode(), smear_jpeg())
    assert client_signed_in.post("/diagnoses/unassigned", body, FORM).status_code == 200
    assert Diagnosis.objects.get().file_name == "a." + "标" * 19


def test_no_file_chosen_is_no_file(client_signed_in: Client, api: APIClient) -> None:
    response = client_signed_in.post(
        "/diagnoses/unassigned", _body("fields", b'filename=""', b""), FORM
    )
    assert response.context["nothing_chosen"]
    body = _body("image", b'filename=""', b"")
    assert api.generic("POST", "/api/diagnose", body, FORM).json()["code"] == "not_a_file"


def test_base64_within_a_part_is_decoded(api: APIClient) -> None:
    for data in (base64.b64encode(smear_jpeg()), base64.encodebytes(smear_jpeg())):
        body = _body(
            "image", b'filename="a.jpg"', data, headers=b"Content-Transfer-Encoding: BASE64\r\n"
        )
        response = api.generic("POST", "/api/diagnose", body, FORM)
        assert response.status_code in (200, 201), response.content


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: x-uuencode",
        b"Content-Encoding: gzip",
    ],
)
def test_another_encoding_of_a_part_is_refused(
    api: APIClient, client_signed_in: Client, header: bytes
) -> None:
    body = _body("image", b'filename="a.jpg"', b"=FF=D8", headers=header + b"\r\n")
    document = api.generic("POST", "/api/diagnose", body, FORM).json()
    assert (document["status"], document["code"]) == (400, "parse_error")
    assert "send the part as it is" in document["detail"]
    body = _body("fields", b'filename="a.jpg"', b"=FF=D8", headers=header + b"\r\n")
    assert client_signed_in.post("/diagnoses/unassigned", body, FORM).status_code == 400
    assert client_signed_in.post("/api/diagnose", body, FORM).status_code == 400


@pytest.mark.parametrize(
    "parameters",
    [
        b"filename*=zip''%41.jpg",
        b"filename*=undefined''%41.jpg",
        b"filename*0*=UTF-8''%E6; filename*1*=%A0%87.jpg",
        b"filename*='",
        b"filename*=UTF-8''%ff%fe.jpg",
        b"filename*=utf-8''%00.jpg",
        b'filename="a;b=c',
        pytest.param(b'filename="%s"' % (b"a" * 20_000), id="long"),
        b'filename="a.jpg"\r\nContent-Disposition: form-data',
        b"\xff\xfe",
    ],
)
def test_no_header_of_a_part_is_an_error_of_the_server(
    api: APIClient, client_signed_in: Client, parameters: bytes
) -> None:
    for field, address in (("image", "/api/diagnose"), ("fields", "/diagnoses/unassigned")):
        client = api if field == "image" else client_signed_in
        body = _body(field, parameters, smear_jpeg())
        assert client.generic("POST", address, body, FORM).status_code < 500
