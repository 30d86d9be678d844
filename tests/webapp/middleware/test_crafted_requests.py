"""Addresses and forms that somebody made up are refused, never an error of the server."""

from urllib.parse import quote

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from diagnosis.roles import ADMINISTRATOR
from patients.models import Patient, Specimen

pytestmark = pytest.mark.django_db

HUGE = "9" * 25
VALUES = [str(2**63), HUGE, "NaN", "\x00"]
# A number of any size takes the same way; `test_admin_addresses` sends HUGE to every list and row.
IN_ADMIN = [value for value in VALUES if value != HUGE]
PAGES = [
    f"{reverse(f'admin:{model._meta.app_label}_{model._meta.model_name}_changelist')}"
    for model in admin.site._registry
]


@pytest.fixture
def specimen(db: None) -> Specimen:
    patient = Patient.objects.create(medical_record_number="MRN-1", name="Ada Example")
    return Specimen.objects.create(accession_number="S-1", patient=patient)


@pytest.fixture(params=["superuser", "administrator"])
def client_of_admin(request: pytest.FixtureRequest, client: Client) -> Client:
    user = User.objects.create_user("admin", is_staff=True)
    if request.param == "superuser":
        user.is_superuser = True
        user.save()
    else:
        user.groups.add(Group.objects.get(name=ADMINISTRATOR))
    client.force_login(user)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("page", PAGES)
def test_admin_survives_what_is_made_up(
    client_of_admin: Client, specimen: Specimen, page: str
) -> None:
    client = client_of_admin
    answers = []
    for value in IN_ADMIN:
        for name in ("o", "p", "id__in", "id__range", "id__gte", "_to_field", "groups", "e"):
            answers.append(client.get(page, {name: value}))
        for path in ("change/", "history/", "delete/"):
            answers.append(client.get(f"{page}{quote(value, safe='')}/{path}"))
        for action in ("delete_selected", "retry_failed", "nonsense"):
            chosen = {"action": action, "_selected_action": ["1", value], "post": "yes"}
            answers.append(client.post(page, chosen))
        made_up = dict.fromkeys(("name", "permissions", "groups", "patient", "user", "id"), value)
        answers.append(client.post(f"{page}add/", made_up))
        answers.append(client.get(f"{page}add/", made_up))
    assert {answer.status_code for answer in answers} <= {200, 302, 400, 403, 404}
    assert Patient.objects.count() == Specimen.objects.count() == 1


def test_the_list_of_choices_survives_it(client_of_admin: Client, specimen: Specimen) -> None:
    asked = {"app_label": "patients", "model_name": "specimen", "field_name": "patient"}
    for value in VALUES:
        for name in (*asked, "term", "page"):
            found = client_of_admin.get("/admin/autocomplete/", {**asked, name: value})
            assert found.status_code < 500
        assert client_of_admin.get(f"/admin/r/4/{quote(value, safe='')}/").status_code < 500


def test_pages_survive_it(client_signed_in: Client, specimen: Specimen) -> None:
    client_signed_in.raise_request_exception = False
    for value in VALUES:
        part = quote(value, safe="")
        paths = ["", "/edit", "/delete", "/specimens/new"]
        addresses = [f"/patients/{part}{path}" for path in paths]
        addresses += [f"/specimens/{part}{path}" for path in ("", "/edit", "/report", "/sign")]
        paths = ["", "/assign", "/review", "/image", "/thumbnail", "/activation"]
        addresses += [f"/diagnoses/{part}{path}" for path in paths]
        for address in addresses:
            assert client_signed_in.get(address).status_code in (403, 404, 405), address
            assert client_signed_in.post(address).status_code in (403, 404, 405), address
        for page in ("/", "/diagnoses", "/patients/", "/diagnoses/unassigned", "/specimens/S-1"):
            for name in ("after", "before", "page", "show", "priority", "search", "days"):
                answer = client_signed_in.get(page, {name: value})
                assert answer.status_code in (200, 400, 404), (page, name, value)


def test_a_defect_is_still_one(client_signed_in: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a defect")

    client_signed_in.raise_request_exception = False
    monkeypatch.setattr("patients.views.selectors.patients_page", broken)
    assert client_signed_in.get("/patients/").status_code == 500
