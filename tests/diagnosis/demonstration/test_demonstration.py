"""The demonstration: drawn, marked wherever it shows, closed to photographs, and not twice."""

import re

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.state import Status
from diagnosis.demonstration import drawn_cases as demonstration
from diagnosis.demonstration.guide import demonstration_pending
from diagnosis.fields.intake import diagnosis_assign, diagnosis_create
from diagnosis.models import DEMONSTRATION, Case, Diagnosis
from diagnosis.tasks import demonstration_order, draw_demonstration
from patients.models import Patient, Specimen
from patients.services import specimen_update
from tests.diagnosis.portal import records
from tests.product import ROOT
from webapp.domain_error import DomainError

pytestmark = pytest.mark.django_db
WORDS = "Demonstration · drawn, not a patient"


@pytest.fixture(autouse=True)
def _drawn_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small fields a case: what is drawn is seen by the test on the running product."""

    def small(seed: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
        return draw_smear(seed, 96, 128)

    cases = ((lambda: small(1), lambda: small(2)), (lambda: small(1),))
    monkeypatch.setattr(demonstration, "_CASES", cases)


@pytest.fixture
def drawn(clinician: User) -> list[Specimen]:
    return demonstration.demonstration_draw(actor=clinician)


@pytest.fixture
def real(db: None) -> Specimen:
    patient = Patient.objects.create(medical_record_number="M-1", name="Ada Example")
    return Specimen.objects.create(patient=patient, accession_number="H26-1")


def test_it_is_one_marked_patient_with_two_cases_whose_fields_wait(
    drawn: list[Specimen], clinician: User
) -> None:
    patient = Patient.objects.get()
    assert (patient.name, patient.is_demonstration) == ("Demonstration, Synthetic", True)
    assert [specimen.accession_number for specimen in drawn] == ["DEMO-1", "DEMO-2"]
    fields = Diagnosis.objects.order_by("id")
    assert [field.specimen for field in fields] == [drawn[0], drawn[0], drawn[1]]
    assert {(field.status, field.created_by) for field in fields} == {("received", clinician)}
    assert all(field.next_attempt_at for field in fields), "or no worker would look at once"
    assert Case.objects.filter(DEMONSTRATION).count() == 2


def test_each_further_time_it_is_one_more_case(drawn: list[Specimen], clinician: User) -> None:
    (third,) = demonstration.demonstration_draw(actor=clinician)
    assert third.accession_number == "DEMO-3"
    assert third.patient == drawn[0].patient
    assert third.diagnoses.count() == 2


def test_all_of_it_is_stored_or_nothing(
    clinician: User, monkeypatch: pytest.MonkeyPatch, real: Specimen
) -> None:
    specimen_update(actor=clinician, specimen=real, accession_number="DEMO-2")
    with pytest.raises(ValidationError, match="already has this accession number"):
        demonstration.demonstration_draw(actor=clinician)
    assert not Patient.objects.filter(is_demonstration=True).exists()
    with pytest.raises(CommandError, match=r"taken: Another specimen already has"):
        call_command("demo_data", user=clinician.username)


def test_counts_can_leave_it_out(drawn: list[Specimen], clinician: User, real: Specimen) -> None:
    kept = {records.screened(clinician, real), records.screened(clinician, None)}
    assert set(Diagnosis.objects.exclude(DEMONSTRATION)) == kept
    assert [case.specimen for case in Case.objects.exclude(DEMONSTRATION)] == [real]


@pytest.mark.parametrize("there", ["nobody", "patient", "no user", "inactive user"])
def test_it_is_ordered_for_an_empty_installation_with_its_user_alone(
    there: str, clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered: list[int] = []
    monkeypatch.setattr(type(draw_demonstration), "enqueue", lambda _, pk: ordered.append(pk))
    if there == "patient":
        Patient.objects.create(medical_record_number="M-1", name="Ada Example")
    if there == "inactive user":
        User.objects.update(is_active=False)
    demonstration_order(username="nobody" if there == "no user" else clinician.username)
    assert ordered == ([clinician.pk] if there == "nobody" else [])
    assert demonstration_pending() is bool(ordered)


def test_a_queue_that_is_away_stops_no_start(
    clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(draw_demonstration), "enqueue", away)
    demonstration_order(username=clinician.username)
    assert not demonstration_pending()


def test_the_second_of_two_orders_adds_nothing(clinician: User) -> None:
    for _ in range(2):
        draw_demonstration.call(clinician.pk)
    assert Specimen.objects.count() == 2


def test_no_photograph_comes_into_it(
    drawn: list[Specimen], clinician: User, client_signed_in: Client, api: APIClient
) -> None:
    lone = records.screened(clinician, None)
    with pytest.raises(DomainError, match="drawings alone"):
        diagnosis_create(actor=clinician, upload=records.png(), specimen=drawn[0])
    with pytest.raises(DomainError, match="drawings alone"):
        diagnosis_assign(actor=clinician, diagnosis=lone, specimen=drawn[0])
    page = client_signed_in.post(f"/diagnoses/{lone.pk}/assign", {"accession_number": "DEMO-1"})
    assert "holds drawings alone. Register a patient" in page.content.decode()
    answer = api.patch(f"/api/diagnoses/{lone.pk}", {"specimen": "DEMO-1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "demonstration")
    lone.refresh_from_db()
    assert lone.specimen is None
    assert "data-upload" not in client_signed_in.get("/specimens/DEMO-1").content.decode()


@pytest.mark.parametrize("into", [True, False])
def test_no_specimen_moves_between_it_and_a_patient(
    into: bool, drawn: list[Specimen], clinician: User, real: Specimen, api: APIClient
) -> None:
    moved, to = (real, drawn[0].patient) if into else (drawn[0], real.patient)
    with pytest.raises(ValidationError, match="Drawn fields never come into a patient"):
        specimen_update(actor=clinician, specimen=moved, patient=to)
    answer = api.patch(f"/api/specimens/{moved.accession_number}", {"patient": to.pk})
    assert answer.status_code == 400
    assert Specimen.objects.get(pk=moved.pk).patient != to


def test_a_specimen_still_moves_between_patients(clinician: User, real: Specimen) -> None:
    other = Patient.objects.create(medical_record_number="M-2", name="Grace Example")
    assert specimen_update(actor=clinician, specimen=real, patient=other).patient == other


def test_nobody_marks_or_unmarks_a_patient(
    drawn: list[Specimen], api: APIClient, admin_client: Client, real: Specimen
) -> None:
    for patient, other in ((drawn[0].patient, False), (real.patient, True)):
        answer = api.patch(f"/api/patients/{patient.pk}", {"is_demonstration": other})
        assert answer.status_code == 400
        form = {"medical_record_number": "X-1", "name": "N", "sex": "other"}
        if other:
            form["is_demonstration"] = "on"
        admin_client.post(f"/admin/patients/patient/{patient.pk}/change/", form)
        patient.refresh_from_db()
        assert patient.is_demonstration is not other
        assert patient.name == "N"
        Patient.objects.filter(pk=patient.pk).update(medical_record_number=f"Y-{patient.pk}")
    body = {"medical_record_number": "M-9", "name": "N", "is_demonstration": True}
    assert api.post("/api/patients", body).json()["errors"].keys() == {"is_demonstration"}


def test_every_page_that_shows_it_says_so_and_no_other_does(
    drawn: list[Specimen], client_signed_in: Client, clinician: User, real: Specimen
) -> None:
    field = drawn[0].diagnoses.earliest("id")
    number, pk = drawn[0].accession_number, drawn[0].patient.pk
    shown = {  # how often: on each row of a list in short, everywhere else in full
        "/": 3, "/diagnoses": 3, "/patients/": 1, f"/patients/{pk}": 1, f"/patients/{pk}/edit": 1,
        f"/patients/{pk}/delete": 1, f"/specimens/{number}": 1, f"/specimens/{number}/edit": 1,
        f"/specimens/{number}/delete": 1, f"/diagnoses/{field.pk}": 1,
    }  # fmt: skip
    for address, times in shown.items():
        page = client_signed_in.get(address).content.decode()
        assert page.count("badge--demonstration") == times, address
        assert WORDS in page or address in ("/diagnoses", "/patients/"), address
    records.screened(clinician, real)
    for address in (f"/patients/{real.patient_id}", f"/specimens/{real}", "/patients/new"):
        assert "Demonstration" not in client_signed_in.get(address).content.decode(), address


def test_every_answer_of_the_api_that_shows_it_says_so(
    drawn: list[Specimen], clinician: User, api: APIClient, real: Specimen
) -> None:
    records.screened(clinician, real)
    lone = records.screened(clinician, None)
    for kind, mine in (("patients", 1), ("specimens", 2), ("diagnoses", 3)):
        rows = api.get(f"/api/{kind}").json()["results"]
        assert sum(row["is_demonstration"] for row in rows) == mine, kind
        assert not all(row["is_demonstration"] for row in rows), kind
    assert api.get("/api/specimens/DEMO-1").json()["is_demonstration"] is True
    assert api.get(f"/api/diagnoses/{lone.pk}").json()["is_demonstration"] is False


def test_the_command_screens_and_says_what_came_of_it(
    clinician: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("demo_data", user=clinician.username)
    said = capsys.readouterr().out
    assert re.search(r"Specimen DEMO-1: \w+, \w+\nSpecimen DEMO-2: \w+\n", said)
    assert "received" not in said
    assert not Diagnosis.objects.filter(status=Status.RECEIVED).exists()


def test_no_production_installation_makes_it() -> None:
    files = [ROOT / "docker-compose.yml", ROOT / "Dockerfile", ROOT / "serving/entrypoint.py"]
    for file in (*files, *(ROOT / "serving/kubernetes").glob("*.yaml")):
        assert not re.search(r"manage\.py serve|demo_", file.read_text()), file.name


def test_the_command_needs_a_user_to_stand_for() -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("demo_data", user="nobody")
    assert not Patient.objects.exists()
