"""Reading a case field by field in the portal."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from diagnosis.models import Case, Diagnosis, Review
from patients.models import Specimen
from tests.diagnosis.portal import records

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def fields(clinician: User, specimen: Specimen) -> list[Diagnosis]:
    """Three fields that the software calls Pre-B, with a rejected one between them."""
    made = [records.screened(clinician, specimen)]
    records.refused(clinician, specimen)
    return [*made, *(records.screened(clinician, specimen) for _ in range(2))]


def send(client: Client, diagnosis: Diagnosis, **form: str) -> str:
    """Where the answer leads."""
    answer = client.post(f"/diagnoses/{diagnosis.pk}/review", form)
    assert answer.status_code == 302
    return answer.headers["Location"]


def said(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_agreeing_leads_from_field_to_field_and_back_to_the_case(
    client_signed_in: Client, clinician: User, fields: list[Diagnosis]
) -> None:
    first, second, third = fields
    assert send(client_signed_in, second, verdict="agree") == f"/diagnoses/{third.pk}"
    assert send(client_signed_in, third, verdict="agree") == f"/diagnoses/{first.pk}"
    assert send(client_signed_in, first, verdict="agree") == "/specimens/H26-1"
    assert "Every screened field of this case is reviewed." in said(
        client_signed_in, "/specimens/H26-1"
    )
    assert {(r.label, r.reviewer) for r in Review.objects.all()} == {("Malignant Pre-B", clinician)}
    assert Case.objects.get().status == "in_review"


def test_another_class_stands_beside_what_the_software_said(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    first, *_ = fields
    send(client_signed_in, first, verdict="agree")
    send(client_signed_in, first, verdict="override", label="Benign", reason="Haematogones.")
    page = said(client_signed_in, f"/diagnoses/{first.pk}")
    latest, earlier = page.index("Changed to Benign"), page.index("Agreed: Pre-B")
    assert latest < earlier
    assert "Haematogones." in page
    assert "Model category" in page
    first.refresh_from_db()
    assert first.predicted_class == "Malignant Pre-B"


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "choose agree, another class, or unusable"),
        ({"verdict": "maybe"}, "choose agree, another class, or unusable"),
        ({"verdict": "override", "label": "Normal", "reason": "x"}, "choose agree"),
        ({"verdict": "override", "label": "", "reason": "x"}, "Choose one of: Benign"),
        ({"verdict": "override", "label": "Benign"}, "Give a reason"),
        ({"verdict": "unusable"}, "Give a reason"),
    ],
)
def test_an_incomplete_reading_says_what_is_missing(
    client_signed_in: Client, fields: list[Diagnosis], form: dict[str, str], sentence: str
) -> None:
    first, *_ = fields
    address = send(client_signed_in, first, **form)
    assert address == f"/diagnoses/{first.pk}"
    page = said(client_signed_in, address)
    assert "Nothing was recorded" in page
    assert sentence in page
    assert not Review.objects.exists()


def test_agreeing_with_the_rest_leaves_what_was_read(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    first, *_ = fields
    send(client_signed_in, first, verdict="unusable", reason="Out of focus.")
    assert "1 of 3 usable fields read" in said(client_signed_in, "/specimens/H26-1")
    answer = client_signed_in.post("/specimens/H26-1/agree-with-all", follow=True)
    page = answer.content.decode()
    assert "Agreed with 2 fields. Each can still be changed." in page
    assert "Agree with the rest" not in page
    assert first.reviews.get().verdict == "unusable"
    assert Review.objects.count() == 3


def test_a_field_without_class_or_specimen_offers_no_reading(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    for diagnosis in (records.refused(clinician, specimen), records.screened(clinician, None)):
        assert 'value="agree"' not in said(client_signed_in, f"/diagnoses/{diagnosis.pk}")
        address = send(client_signed_in, diagnosis, verdict="agree")
        assert "Nothing was recorded." in said(client_signed_in, address)
    assert not Review.objects.exists()


def test_who_may_only_look_is_offered_no_reading_and_may_record_none(
    client: Client, fields: list[Diagnosis], django_user_model: type[User]
) -> None:
    looker = django_user_model.objects.create_user("looker")
    looker.user_permissions.add(Permission.objects.get(codename="view_diagnosis"))
    client.force_login(looker)
    first, *_ = fields
    assert 'value="agree"' not in said(client, f"/diagnoses/{first.pk}")
    for address in (f"/diagnoses/{first.pk}/review", "/specimens/H26-1/agree-with-all"):
        assert client.post(address, {"verdict": "agree"}).status_code == 403
        assert client.get(address).status_code in (403, 405)
    assert not Review.objects.exists()


def test_reading_a_field_is_no_get(client_signed_in: Client, fields: list[Diagnosis]) -> None:
    assert client_signed_in.get(f"/diagnoses/{fields[0].pk}/review").status_code == 405
    assert client_signed_in.post("/diagnoses/999/review", {"verdict": "agree"}).status_code == 404
    assert client_signed_in.post("/specimens/NONE/agree-with-all").status_code == 404
