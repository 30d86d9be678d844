"""Damaged pictures in the portal: a placeholder, a sentence, and no reading or signature."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, Diagnosis, Review
from diagnosis.storage.media import media_path
from patients.models import Specimen
from tests.diagnosis.made.pictures import smear_jpeg
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
CASE = "/specimens/H26-1"


@pytest.fixture
def fields(clinician: User, specimen: Specimen) -> list[Diagnosis]:
    return [records.screened(clinician, specimen) for _ in range(2)]


def swap(field: Diagnosis) -> None:
    media_path(field.image_name).write_bytes(smear_jpeg(99))


@pytest.mark.parametrize("picture", ["image", "thumbnail"])
def test_a_changed_picture_is_never_served(
    client_signed_in: Client, fields: list[Diagnosis], picture: str
) -> None:
    swap(fields[0])
    answer = client_signed_in.get(f"/diagnoses/{fields[0].pk}/{picture}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, "image/svg+xml")
    assert "Image damaged or missing" in answer.text
    media_path(fields[1].image_name).unlink()
    answer = client_signed_in.get(f"/diagnoses/{fields[1].pk}/{picture}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "image/svg+xml")


def test_a_file_that_is_no_picture_has_a_placeholder(
    client_signed_in: Client, fields: list[Diagnosis], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.portal.views.fields.image_read", lambda diagnosis: b"no picture")
    answer = client_signed_in.get(f"/diagnoses/{fields[0].pk}/thumbnail")
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, "image/svg+xml")


def test_field_and_case_say_which_is_damaged(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    swap(fields[1])
    page = client_signed_in.get(f"/diagnoses/{fields[1].pk}").text
    assert "The stored image of this field is damaged or missing" in page
    assert 'value="agree"' not in page
    case = client_signed_in.get(CASE).text
    assert "The stored image of field 2 is damaged or missing" in case
    assert 'alt="Image damaged or missing"' in case
    assert "The stored image" not in client_signed_in.get(f"/diagnoses/{fields[0].pk}").text


def test_what_is_posted_all_the_same_is_refused(
    client_signed_in: Client, fields: list[Diagnosis], clinician: User
) -> None:
    swap(fields[1])
    address = f"/diagnoses/{fields[1].pk}/review"
    page = client_signed_in.post(address, {"verdict": "agree"}, follow=True).text
    assert "Nothing was recorded. The stored image of field 2 is damaged" in page
    page = client_signed_in.post(f"{CASE}/agree-with-all", follow=True).text
    assert "The stored image of field 2 is damaged" in page
    assert not Review.objects.exists()
    review_create(actor=clinician, diagnosis=fields[0], verdict=Verdict.AGREE)
    page = client_signed_in.get(f"{CASE}/sign", follow=True).text
    assert "It cannot be signed now." in page


def test_a_signed_case_says_so_too(
    client_signed_in: Client, fields: list[Diagnosis], clinician: User
) -> None:
    for field in fields:
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    sign(clinician, Case.objects.get())
    swap(fields[0])
    for address in (CASE, f"{CASE}/report"):
        assert "The stored image of field 1 is damaged" in client_signed_in.get(address).text
    assert client_signed_in.get(f"{CASE}/report.pdf").status_code == 200
