"""Comments, reasons, names and filters as people type them: nothing is cut or lost in silence."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.asserts import assertContains, assertNotContains

from diagnosis.cases import services as cases
from diagnosis.fields.intake import diagnosis_create
from diagnosis.models import Amendment, Case, Conclusion, Diagnosis, Review, SavedView
from diagnosis.reports.content.snapshot import person
from patients.models import Patient, Specimen
from tests.diagnosis.portal import records
from tests.diagnosis.portal.cases.test_sign import fields, sign, signer

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
__all__ = ["fields", "signer"]
CASE = "/specimens/H26-1"
INVISIBLE = ["\u200b\u200b", "\u2800", "\u00ad\u00ad", "\u3164", "\u0301", "\u202e"]


@pytest.fixture
def field(clinician: User, specimen: Specimen) -> Diagnosis:
    return records.screened(clinician, specimen)


# --- Line breaks and lengths -------------------------------------------------------------


@pytest.mark.usefixtures("fields")
def test_a_comment_of_2000_characters_with_line_breaks_is_taken(signer: Client) -> None:
    typed = ("x" * 49 + "\r\n") * 40
    assert sign(signer, comment=typed)[0] == 302
    assert Conclusion.objects.get().comment == typed.replace("\r\n", "\n").strip()


@pytest.mark.usefixtures("fields")
def test_a_comment_that_is_longer_is_kept_on_the_page(signer: Client) -> None:
    status, page = sign(signer, comment="x" * 2001)
    assert (status, "at most 2000 characters" in page, "x" * 2001 in page) == (200, True, True)


@pytest.mark.usefixtures("fields")
def test_a_reason_to_amend_is_not_cut(signer: Client) -> None:
    sign(signer)
    answer = signer.post(f"{CASE}/amend", {"reason": "x" * 501}, follow=True)
    assertContains(answer, "The case is not opened.")
    assertContains(answer, "at most 500 characters")
    assert not Amendment.objects.exists()
    signer.post(f"{CASE}/amend", {"reason": ("x" * 49 + "\r\n") * 10})
    assert len(Amendment.objects.get().reason) == 499


def test_a_long_reason_of_a_reading_says_so(client_signed_in: Client, field: Diagnosis) -> None:
    form = {"verdict": "unusable", "reason": "x" * 501}
    answer = client_signed_in.post(f"/diagnoses/{field.pk}/review", form, follow=True)
    assertContains(answer, "at most 500 characters")
    assert not Review.objects.exists()


# --- What cannot be seen -----------------------------------------------------------------


@pytest.mark.parametrize("typed", INVISIBLE)
def test_an_invisible_reason_is_none(
    client_signed_in: Client, field: Diagnosis, typed: str
) -> None:
    form = {"verdict": "unusable", "reason": typed}
    answer = client_signed_in.post(f"/diagnoses/{field.pk}/review", form, follow=True)
    assertContains(answer, "Give a reason")
    assert not Review.objects.exists()


@pytest.mark.usefixtures("fields")
@pytest.mark.parametrize("typed", INVISIBLE)
def test_nothing_is_signed_or_amended_for_an_invisible_reason(signer: Client, typed: str) -> None:
    status, page = sign(signer, headline="indeterminate", reason=typed)
    assert (status, "give a reason" in page) == (200, True)
    sign(signer, comment=typed)
    assert Conclusion.objects.get().comment == ""
    answer = signer.post(f"{CASE}/amend", {"reason": typed}, follow=True)
    assertContains(answer, "Give a reason")


@pytest.mark.parametrize("typed", INVISIBLE)
def test_an_invisible_name_is_none(
    client_signed_in: Client, api: Client, specimen: Specimen, typed: str
) -> None:
    client_signed_in.post("/views/save", {"name": typed, "query": "priority=2"})
    form = {"medical_record_number": "M-9", "name": typed, "sex": "unknown"}
    assertContains(client_signed_in.post("/patients/new", form), "Enter the patient")
    assert api.post("/api/patients", form).status_code == 400
    address = f"/api/patients/{specimen.patient_id}"
    assert api.patch(address, {"name": typed}).status_code == 400
    assert not SavedView.objects.exists()
    assert Patient.objects.get().name == "Ada Example"


def test_a_signature_has_a_name(clinician: User) -> None:
    clinician.first_name = "\u2800"
    assert person(clinician)["name"] == "clinician"


def test_a_file_name_turns_nothing_around(clinician: User) -> None:
    name = "smear\u202egpj.exe"
    field, _ = diagnosis_create(actor=clinician, upload=records.png(), file_name=name)
    assert field.file_name == "smeargpj.exe"


# --- Filters -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["received_from", "received_to"])
@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "1899-12-31", "2200-01-01"])
def test_a_day_that_no_case_has_is_refused(client_signed_in: Client, name: str, day: str) -> None:
    answer = client_signed_in.get("/", {name: day})
    assertContains(answer, "Choose a day between 1900 and 2199; check the year.")
    client_signed_in.post("/views/save", {"name": "bad", "query": f"{name}={day}"})
    assert not SavedView.objects.exists()
    assert client_signed_in.get("/", {name: "2026-01-01"}).status_code == 200


def test_a_view_of_before_that_rule_is_shown_and_deleted(
    client_signed_in: Client, clinician: User
) -> None:
    view = SavedView.objects.create(user=clinician, name="Bad", query="received_to=9999-12-31")
    page = client_signed_in.get("/?received_to=9999-12-31")
    assertContains(page, "Choose a day between 1900 and 2199")
    assertContains(page, f"/views/{view.pk}/delete")
    answer = client_signed_in.post(f"/views/{view.pk}/delete", follow=True)
    assertContains(answer, "is deleted.")
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    "after", ["9" * 30 + "_0_0_2026-01-01T00:00:00+00:00_1", "0_0_3_0001-01-01T00:00:00+14:00_1"]
)
def test_a_page_after_nothing_is_the_first(client_signed_in: Client, after: str) -> None:
    assert client_signed_in.get("/", {"after": after}).status_code == 200


def test_a_name_of_a_view_is_one_whatever_its_accents(client_signed_in: Client) -> None:
    for name in ("Zoë", "ZOE"):
        client_signed_in.post("/views/save", {"name": name, "query": "priority=2"})
    assert SavedView.objects.get().name == "Zoë"


# --- Two people at one case --------------------------------------------------------------


def test_a_case_that_somebody_took_meanwhile_is_not_taken_from_them(
    client_signed_in: Client, clinician: User, field: Diagnosis
) -> None:
    assertContains(client_signed_in.get(CASE), '<input type="hidden" name="seen" value="">')
    other = User.objects.create_user("other")
    cases.case_assign(actor=other, case=Case.objects.get(), assignee=other)
    answer = client_signed_in.post(f"{CASE}/take", {"seen": ""}, follow=True)
    assertContains(answer, "The case has another assignee meanwhile")
    assert Case.objects.get().assignee == other
    client_signed_in.post(f"{CASE}/take", {"seen": str(other.pk)})
    assert Case.objects.get().assignee == clinician


def test_a_priority_that_somebody_set_meanwhile_stays(
    client_signed_in: Client, field: Diagnosis
) -> None:
    Case.objects.update(priority=1)
    answer = client_signed_in.post(f"{CASE}/priority", {"priority": "2", "seen": "3"}, follow=True)
    assertContains(answer, "The case has another priority meanwhile")
    assert Case.objects.get().priority == 1
    answer = client_signed_in.post(f"{CASE}/priority", {"priority": "2", "seen": "1"}, follow=True)
    assertNotContains(answer, "meanwhile")
    assert Case.objects.get().priority == 2
