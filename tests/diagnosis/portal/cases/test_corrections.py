"""Correcting whom a signed case is about, by portal, API and administration."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.test import APIClient

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, IdentityCorrection
from patients.models import Patient, Specimen
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
REASON = "Two tubes were swapped at the bedside."
NOT_YOURS = "changes by amendment alone"
SPECIMEN_FORM = {"accession_number": "H26-1", "site": "unknown", "stain": "giemsa"}
SPECIMEN_FORM |= {"objective": "unknown", "medical_record_number": "MRN-8"}
PATIENT_FORM = {"medical_record_number": "MRN-7", "name": "Ada Corrected", "sex": "female"}


@pytest.fixture
def case(clinician: User, specimen: Specimen) -> Case:
    """H26-1 of Ada Example, signed."""
    field = records.screened(clinician, specimen)
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    sign(clinician, Case.objects.get())
    return Case.objects.get()


@pytest.fixture
def berta(db: None) -> Patient:
    return Patient.objects.create(medical_record_number="MRN-8", name="Berta Other")


def account(role: str, **values: bool) -> User:
    user = User.objects.create_user(role.lower(), **values)
    user.groups.add(Group.objects.get(name=role))
    return user


def session(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def is_as_signed() -> bool:
    specimen = Specimen.objects.get()
    patient = specimen.patient
    return (
        (specimen.accession_number, specimen.stain, patient.name) ==
        ("H26-1", "wright-giemsa", "Ada Example")
        and bool(Case.objects.get().closed)
        and not IdentityCorrection.objects.exists()
    )  # fmt: skip


def versioned(client: Client, address: str, form: dict[str, str]) -> dict[str, str]:
    """``form`` with the hidden fields that the page has."""
    page_form = client.get(address).context["form"]
    hidden = {field.html_name: field.value() for field in page_form.hidden_fields()}
    return {**{name: value for name, value in hidden.items() if value is not None}, **form}


@pytest.mark.parametrize(
    ("address", "form"),
    [("/specimens/H26-1/edit", SPECIMEN_FORM), ("/patients/{}/edit", PATIENT_FORM)],
)
def test_the_form_tells_a_technician_who_may_correct_it(
    case: Case, berta: Patient, address: str, form: dict[str, str]
) -> None:
    client = session(account("Technician"))
    address = address.format(case.specimen.patient_id)
    answer = client.post(address, versioned(client, address, {**form, "reason": REASON}))
    assert answer.status_code == 200
    assert NOT_YOURS in answer.text
    assert is_as_signed()


@pytest.mark.parametrize(
    ("address", "form"),
    [("/specimens/H26-1/edit", SPECIMEN_FORM), ("/patients/{}/edit", PATIENT_FORM)],
)
def test_the_form_asks_a_haematologist_for_the_reason(
    client_signed_in: Client, case: Case, berta: Patient, address: str, form: dict[str, str]
) -> None:
    address = address.format(case.specimen.patient_id)
    answer = client_signed_in.post(address, versioned(client_signed_in, address, form))
    assert "give the reason for the correction" in answer.context["form"].errors["reason"][0]
    assert form["medical_record_number"] in answer.text
    assert is_as_signed()


def test_a_corrected_specimen_shows_on_both_patients_and_the_case(
    client_signed_in: Client, case: Case, berta: Patient
) -> None:
    address = "/specimens/H26-1/edit"
    form = versioned(client_signed_in, address, {**SPECIMEN_FORM, "reason": REASON})
    page = client_signed_in.post(address, form, follow=True).text
    assert "has opened this case for an amendment" in page
    assert Specimen.objects.get().patient == berta
    for address in (
        "/specimens/H26-1",
        f"/patients/{berta.pk}",
        f"/patients/{case.specimen.patient_id}",
    ):
        page = client_signed_in.get(address).text
        assert "Specimen <bdi>H26-1</bdi> was moved to another patient" in page
        assert "<del><bdi>Ada Example</bdi> (<bdi>MRN-7</bdi>)</del>" in page
        assert "<ins><bdi>Berta Other</bdi> (<bdi>MRN-8</bdi>)</ins>" in page
        assert "<del>Wright-Giemsa</del> → <ins>Giemsa</ins>" in page
        assert REASON in page
        assert "<bdi>clinician</bdi>" in page


def test_the_amended_report_says_so(
    client_signed_in: Client, clinician: User, case: Case, berta: Patient
) -> None:
    address = f"/patients/{case.specimen.patient_id}/edit"
    form = versioned(client_signed_in, address, {**PATIENT_FORM, "reason": REASON})
    assert client_signed_in.post(address, form).status_code == 302
    assert sign(clinician, Case.objects.get())
    page = client_signed_in.get("/specimens/H26-1/report").text
    assert "AMENDED" in page
    assert "Name: <bdi>Ada Example</bdi>, corrected to <bdi>Ada Corrected</bdi>" in page


def test_the_form_of_what_is_not_signed_asks_nothing(
    client_signed_in: Client, specimen: Specimen
) -> None:
    assert "reason" not in client_signed_in.get("/specimens/H26-1/edit").context["form"].fields


@pytest.mark.parametrize("address", ["/api/specimens/H26-1", "/api/patients/{}"])
def test_the_api_refuses_with_a_code(api: APIClient, case: Case, address: str) -> None:
    address = address.format(case.specimen.patient_id)
    changes = {"stain": "giemsa"} if "specimens" in address else {"name": "Ada Corrected"}
    technician = APIClient()
    technician.force_authenticate(account("Technician"))
    for client, said, code in (
        (api, changes, "reason_missing"),
        (technician, {**changes, "reason": REASON}, "signed"),
    ):
        answer = client.patch(address, said, format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert "A signed case states this" in answer.json()["detail"]
    assert is_as_signed()


def test_the_api_corrects_with_a_reason(api: APIClient, case: Case, berta: Patient) -> None:
    changes = {"patient": berta.pk, "reason": REASON}
    answer = api.patch("/api/specimens/H26-1", changes, format="json")
    assert (answer.status_code, answer.json()["patient"]) == (200, berta.pk)
    assert "reason" not in answer.json()
    assert IdentityCorrection.objects.get().reason == REASON
    assert not Case.objects.get().closed


def test_the_api_takes_no_reason_for_something_new(api: APIClient, patient: Patient) -> None:
    answer = api.post(
        "/api/specimens",
        {"accession_number": "H26-2", "patient": patient.pk, "reason": REASON},
        format="json",
    )
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["reason"])


ADMIN_FORM = {
    "accession_number": "H26-9",
    "site": "peripheral-blood",
    "stain": "wright-giemsa",
    "objective": "unknown",
}


@pytest.mark.parametrize("role", ["Administrator", "Superuser"])
def test_the_administration_says_it_at_the_form(case: Case, role: str) -> None:
    superuser = role == "Superuser"
    user = User.objects.create_superuser("root") if superuser else account(role, is_staff=True)
    client, row = session(user), case.specimen
    form = {**ADMIN_FORM, "patient": str(row.patient_id)}
    address = f"/admin/patients/specimen/{row.pk}/change/"
    answer = client.post(address, form)
    assert answer.status_code == 200
    assert ("give the reason" if superuser else NOT_YOURS) in answer.text
    assert is_as_signed()
    answer = client.post(address, {**form, "reason": REASON})
    assert answer.status_code == (302 if superuser else 200)
    assert is_as_signed() is not superuser
    assert 'name="reason"' not in client.get("/admin/patients/specimen/add/").text
