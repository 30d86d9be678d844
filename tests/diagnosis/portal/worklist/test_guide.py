"""The guided start: ticks of what is done, for whom, and that it can be hidden."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from diagnosis.cases.services import agree_with_all
from diagnosis.models import Case
from diagnosis.roles import TECHNICIAN
from diagnosis.tasks import demonstration_order
from patients.models import Patient, Specimen
from patients.services import patient_create, specimen_create
from tests.diagnosis.made.signing import sign as sign_case
from tests.diagnosis.portal import records
from webapp.audit.services import audit_record

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def demonstration(clinician: User, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """Two cases: one with a screened and a refused field, one with a screened field."""
    patient = patient_create(
        actor=clinician, medical_record_number="DEMO", name="D", is_demonstration=True
    )
    monkeypatch.setattr("diagnosis.fields.intake._refuse_demonstration", lambda specimen: None)
    cases = []
    for number in ("DEMO-1", "DEMO-2"):
        specimen = specimen_create(actor=clinician, patient=patient, accession_number=number)
        records.screened(clinician, specimen)
        if not cases:
            records.refused(clinician, specimen)
        cases.append(Case.objects.get(specimen=specimen))
    return cases


def sign(user: User, case: Case) -> None:
    """Agree with what is unread, then sign."""
    agree_with_all(actor=user, case=case)
    assert sign_case(user, case)


def steps(client: Client, address: str = "/") -> str:
    """What of the guide is done, e.g. ``11--``; empty without one."""
    page = client.get(address).content.decode()
    guide = re.search(r'<section class="card guide".*?</section>', page, re.DOTALL)
    if not guide:
        return ""
    marks = re.findall(r'<span class="guide__mark(.*?)"', guide[0])
    return "".join("1" if "done" in mark else "-" for mark in marks)


def test_each_step_is_ticked_by_what_was_done(
    client_signed_in: Client, clinician: User, demonstration: list[Case]
) -> None:
    first = demonstration[0]
    assert steps(client_signed_in) == "----"
    assert steps(client_signed_in, "/specimens/DEMO-1") == "1---"
    field = first.specimen.diagnoses.get(status="screened")
    client_signed_in.post(f"/diagnoses/{field.pk}/review", {"verdict": "agree"})
    assert steps(client_signed_in) == "11--"
    audit_record(actor=clinician, action="report.viewed", target=first)
    sign(clinician, first)
    assert steps(client_signed_in) == "111-", "the report was another, before"
    assert "First steps: done" not in client_signed_in.get("/").content.decode()
    audit_record(actor=clinician, action="report.viewed", target=first)
    assert steps(client_signed_in) == "1111"
    page = client_signed_in.get("/").content.decode()
    assert "First steps: done" in page
    assert re.search(r"Once more:\s+<a href=\"/specimens/DEMO-2\">", page)
    assert steps(client_signed_in, "/specimens/DEMO-2") == "1---"


def test_a_field_that_waits_leaves_reading_undone(
    client_signed_in: Client, clinician: User, demonstration: list[Case]
) -> None:
    specimen = demonstration[0].specimen
    field = specimen.diagnoses.get(status="screened")
    client_signed_in.post(f"/diagnoses/{field.pk}/review", {"verdict": "agree"})
    records.received(clinician, specimen)
    assert steps(client_signed_in, "/specimens/DEMO-1") == "1---"


def test_another_ones_opening_ticks_nothing_and_a_signed_case_is_passed_over(
    client_signed_in: Client, clinician: User, demonstration: list[Case]
) -> None:
    other = User.objects.create_user("other")
    other.groups.set(clinician.groups.all())
    client_signed_in.get("/specimens/DEMO-1")
    sign(clinician, demonstration[0])
    client = Client()
    client.force_login(other)
    assert steps(client) == "----"
    assert "/specimens/DEMO-2" in client.get("/").content.decode()


def test_who_signed_a_real_case_needs_no_guide(
    client_signed_in: Client, clinician: User, demonstration: list[Case], specimen: Specimen
) -> None:
    records.screened(clinician, specimen)
    assert steps(client_signed_in, f"/specimens/{specimen}") == ""
    sign(clinician, Case.objects.get(specimen=specimen))
    assert steps(client_signed_in) == ""


def test_it_is_hidden_for_this_user_alone(
    client_signed_in: Client, clinician: User, demonstration: list[Case]
) -> None:
    assert client_signed_in.post("/guide/hide").url == "/"
    cookie = client_signed_in.cookies[f"guide_hidden_{clinician.pk}"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert steps(client_signed_in) == steps(client_signed_in, "/specimens/DEMO-1") == ""
    other = User.objects.create_user("other")
    other.groups.set(clinician.groups.all())
    client_signed_in.force_login(other)
    assert steps(client_signed_in) == "----"


def test_who_reads_no_fields_is_not_guided(client: Client, demonstration: list[Case]) -> None:
    user = User.objects.create_user("sender")
    user.groups.add(Group.objects.get(name=TECHNICIAN))
    client.force_login(user)
    assert steps(client) == ""


def test_until_it_is_drawn_the_page_says_so_and_looks_again(
    client_signed_in: Client, clinician: User
) -> None:
    assert "being drawn" not in client_signed_in.get("/").content.decode()
    demonstration_order(username=clinician.username)
    page = client_signed_in.get("/").content.decode()
    assert "A demonstration case is being drawn" in page
    assert "data-waiting" in page
    Patient.objects.create(medical_record_number="D", name="D", is_demonstration=True)
    assert "data-waiting" not in client_signed_in.get("/").content.decode()
