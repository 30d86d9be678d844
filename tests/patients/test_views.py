"""The portal's pages for patients and specimens."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from pytest_django.asserts import assertContains, assertNotContains, assertRedirects

from diagnosis.models import Diagnosis
from patients import services
from patients.models import Patient, Specimen
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db

PATIENT_PAGES = ["/patients/", "/patients/new", "/patients/1/edit", "/patients/1/delete"]
SPECIMEN_PAGES = ["/patients/1/specimens/new", "/specimens/H24-1/edit", "/specimens/H24-1/delete"]
ALL_PERMISSIONS = [
    f"{verb}_{model}"
    for verb in ("add", "change", "delete", "view")
    for model in ("patient", "specimen")
]


def last_action() -> tuple[str, str]:
    event = AuditEvent.objects.first()
    assert event is not None
    return event.action, event.target_id


@pytest.fixture
def browser(browser_of: Callable[..., Client]) -> Client:
    return browser_of(*ALL_PERMISSIONS)


@pytest.mark.parametrize("address", PATIENT_PAGES + SPECIMEN_PAGES)
def test_nobody_is_sent_to_sign_in(client: Client, address: str) -> None:
    assertRedirects(client.get(address), f"/login?next={address}")


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("name", "permission"),
    [
        ("patient_list", "view_patient"),
        ("patient_create", "add_patient"),
        ("patient_update", "change_patient"),
        ("patient_delete", "delete_patient"),
        ("specimen_create", "add_specimen"),
        ("specimen_update", "change_specimen"),
        ("specimen_delete", "delete_specimen"),
    ],
)
def test_each_page_wants_its_own_permission(
    specimen: Specimen,
    browser_of: Callable[..., Client],
    name: str,
    permission: str,
    method: str,
) -> None:
    if name in ("patient_list", "patient_create"):
        address = reverse(name)
    elif name in ("specimen_update", "specimen_delete"):
        address = reverse(name, args=[specimen.accession_number])
    else:
        address = reverse(name, args=[specimen.patient_id])
    if name == "patient_list":
        method = "get"
    before = AuditEvent.objects.count()
    others = [other for other in ALL_PERMISSIONS if other != permission]
    response = getattr(browser_of(*others), method)(address)
    assertContains(response, "administrator", status_code=403)
    assertNotContains(response, "Haddad", status_code=403)
    new = AuditEvent.objects.order_by("pk").values_list("action", flat=True)[before:]
    assert list(new) == ["user.signed_in", "access.refused"]
    assert Specimen.objects.get().patient.name == "Haddad, Leila"


def test_list_shows_and_audits_the_page(specimen: Specimen, browser: Client) -> None:
    response = browser.get("/patients/")
    assertContains(response, "Haddad, Leila")
    assertContains(response, "9 Mar 2015")
    assert last_action()[0] == "patient.listed"


def test_search_says_what_it_looked_for(patient: Patient, browser: Client) -> None:
    assertContains(browser.get("/patients/", {"search": "leila"}), "Haddad, Leila")
    response = browser.get("/patients/", {"search": "<b>nobody"})
    assertContains(response, "No patient matches “<bdi>&lt;b&gt;nobody</bdi>”")
    assertNotContains(response, "Haddad")


def test_list_is_paged_by_key_and_keeps_the_search(browser: Client) -> None:
    Patient.objects.bulk_create(
        Patient(medical_record_number=f"P{number:03}", name=f"Silva, {number // 3:02}")
        for number in reversed(range(101))
    )
    in_order = list(Patient.objects.order_by("name", "id").values_list("pk", flat=True))
    first = browser.get("/patients/", {"search": "silva"})
    assertContains(first, f"?search=silva&amp;after={in_order[49]}")
    found: list[int] = []
    after = ""
    for size, more in ((50, True), (50, True), (1, False)):
        answer = browser.get("/patients/", {"search": "silva", "after": after})
        page = [patient.pk for patient in answer.context["patients"]]
        assert (len(page), 'rel="next"' in answer.text) == (size, more)
        assert ('rel="first" href="?search=silva"' in answer.text) == bool(after)
        found += page
        after = str(page[-1])
    assert found == in_order
    assertNotContains(browser.get("/patients/", {"after": after}), "No patients yet")


@pytest.mark.parametrize("few", [0, 1, 1000])
def test_a_search_finds_the_same_whether_few_or_many_match(
    specimen: Specimen, browser: Client, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("patients.selectors.FEW", few)
    other = Patient.objects.create(medical_record_number="OTHER-1", name="Haddad, Ada")
    both = [other, specimen.patient]
    for search, found in (("haddad", both), ("h24-1", both[1:]), ("haddad other-1", both[:1])):
        assert browser.get("/patients/", {"search": search}).context["patients"] == found


@pytest.mark.parametrize("after", ["x", "-1", "0", "9" * 30])
def test_a_page_after_nobody_is_the_first(patient: Patient, browser: Client, after: str) -> None:
    assertContains(browser.get("/patients/", {"after": after}), "Haddad, Leila")


def test_register_patient(browser: Client) -> None:
    form = {"medical_record_number": " m-7 ", "name": "Rossi, Ines", "sex": "unknown"}
    response = browser.post("/patients/new", form)
    patient = Patient.objects.get(medical_record_number="M-7")
    assertRedirects(response, f"/patients/{patient.pk}", fetch_redirect_response=False)
    assert last_action() == ("patient.created", str(patient.pk))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"medical_record_number": ""}, "Enter the medical record number."),
        ({"medical_record_number": "mrn-1"}, "Another patient already has this"),
        ({"name": " "}, "Enter the patient"),
        ({"date_of_birth": "2999-01-01"}, "This date is in the future"),
        ({"date_of_birth": "2001-02-30"}, "Enter a real date"),
        ({"sex": "x"}, "Select a valid choice"),
    ],
)
def test_a_refused_form_shows_the_reason_and_the_input(
    patient: Patient, browser: Client, wrong: dict[str, str], says: str
) -> None:
    form = {"medical_record_number": "M-8", "name": "Rossi, Ines", "sex": "other"} | wrong
    response = browser.post("/patients/new", form)
    assertContains(response, says)
    assertContains(response, "Nothing is saved yet.")
    if "name" not in wrong:
        assertContains(response, 'value="Rossi, Ines"')
    assert Patient.objects.get() == patient


def test_a_number_taken_meanwhile_is_shown_at_the_field(
    patient: Patient, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost_race(**values: Any) -> Patient:
        return services._create(Patient(medical_record_number="MRN-1", name="A"), None)

    monkeypatch.setattr("patients.views.services.patient_create", lost_race)
    form = {"medical_record_number": "NEW", "name": "Rossi, Ines", "sex": "other"}
    response = browser.post("/patients/new", form)
    assertContains(response, "Another patient already has this")
    assertContains(response, 'value="Rossi, Ines"')


def test_edit_patient(patient: Patient, browser: Client) -> None:
    address = f"/patients/{patient.pk}/edit"
    assertContains(browser.get(address), 'value="2015-03-09"')
    assert last_action() == ("patient.viewed", str(patient.pk))
    form = {"medical_record_number": "MRN-1", "name": "Haddad, Lena", "sex": "female"}
    assertRedirects(
        browser.post(address, form), f"/patients/{patient.pk}", fetch_redirect_response=False
    )
    patient.refresh_from_db()
    assert (patient.name, patient.date_of_birth) == ("Haddad, Lena", None)


def test_register_specimen_of_the_patient_in_the_address(patient: Patient, browser: Client) -> None:
    other = services.patient_create(actor=None, medical_record_number="2", name="B")
    address = f"/patients/{patient.pk}/specimens/new"
    assertContains(browser.get(address), "Haddad, Leila")
    form = {
        "accession_number": "h25.9",
        "site": "bone-marrow-aspirate",
        "stain": "wright",
        "objective": "100x",
        "collected_at": "2026-02-03T09:30",
        "patient": other.pk,
    }
    assertRedirects(browser.post(address, form), "/specimens/H25.9", fetch_redirect_response=False)
    specimen = Specimen.objects.get()
    assert specimen.patient == patient
    assert specimen.collected_at.isoformat() == "2026-02-03T09:30:00+00:00"


def test_edit_specimen_keeps_seconds_that_nobody_touched(
    specimen: Specimen, browser: Client
) -> None:
    services.specimen_update(
        actor=None, specimen=specimen, collected_at="2026-02-03T09:30:15.250000+00:00"
    )
    assertContains(browser.get("/specimens/H24-1/edit"), 'value="2026-02-03T09:30:15"')
    form = {
        "accession_number": "H24-1",
        "site": "other",
        "stain": "leishman",
        "objective": "100x",
        "collected_at": "2026-02-03T09:30:15",
        "medical_record_number": "MRN-1",
    }
    browser.post("/specimens/H24-1/edit", form)
    specimen.refresh_from_db()
    assert (specimen.site, specimen.collected_at.microsecond) == ("other", 250000)
    assert AuditEvent.objects.first().detail == {
        "fields": ["objective", "site"],
        "from": {"objective": "unknown", "site": "peripheral-blood"},
        "to": {"objective": "100x", "site": "other"},
    }


def test_move_specimen_to_another_patient(specimen: Specimen, browser: Client) -> None:
    other = services.patient_create(actor=None, medical_record_number="X-2", name="B")
    form = {
        "accession_number": "H24-1",
        "site": "peripheral-blood",
        "stain": "leishman",
        "objective": "100x",
        "medical_record_number": "x-9",
    }
    response = browser.post("/specimens/H24-1/edit", form)
    assertContains(response, "No patient has this number")
    assertContains(response, 'value="x-9"')
    browser.post("/specimens/H24-1/edit", form | {"medical_record_number": "x-2"})
    assert Specimen.objects.get().patient == other
    assert AuditEvent.objects.first().detail == {
        "fields": ["objective", "patient"],
        "from": {"objective": "unknown", "patient": specimen.patient_id},
        "to": {"objective": "100x", "patient": other.pk},
    }


def test_a_refused_accession_number_leaves_the_links_alone(
    specimen: Specimen, browser: Client
) -> None:
    form = {"accession_number": "a/b", "medical_record_number": "MRN-1"}
    response = browser.post("/specimens/H24-1/edit", form)
    assertContains(response, 'href="/specimens/H24-1/delete"')
    assertContains(response, 'value="a/b"')
    assertContains(response, "beginning with a letter or digit")


def test_addresses_take_the_accession_number_in_any_case(
    specimen: Specimen, browser: Client
) -> None:
    assert browser.get("/specimens/h24-1/edit").status_code == 200


@pytest.mark.parametrize("page", ["patients", "specimens"])
def test_delete_asks_first(specimen: Specimen, browser: Client, page: str) -> None:
    key: Any = specimen.patient_id if page == "patients" else "H24-1"
    assertContains(browser.get(f"/{page}/{key}/delete"), "deleted for good")
    assert Specimen.objects.exists()
    response = browser.post(f"/{page}/{key}/delete")
    target = "/patients/" if page == "patients" else f"/patients/{specimen.patient_id}"
    assertRedirects(response, target, fetch_redirect_response=False)
    assert not Specimen.objects.exists()
    assert Patient.objects.exists() == (page == "specimens")


@pytest.mark.parametrize("page", ["patients", "specimens"])
def test_delete_is_refused_where_there_are_diagnoses(
    diagnosis: Diagnosis, browser: Client, page: str
) -> None:
    specimen = Specimen.objects.get()
    key: Any = specimen.patient_id if page == "patients" else "H24-1"
    response: HttpResponse = browser.post(f"/{page}/{key}/delete")
    assertContains(response, "has diagnoses, which are kept for ever", status_code=409)
    assert Specimen.objects.get() == specimen


@pytest.mark.parametrize(
    "address",
    [
        "/patients/99/edit",
        f"/patients/{10**30}/edit",
        "/specimens/NONE/edit",
        "/specimens/NONE/delete",
    ],
)
def test_what_is_not_there_is_404(browser: Client, address: str) -> None:
    assertContains(browser.get(address), "Nothing is at this address", status_code=404)


@pytest.mark.parametrize("address", ["/patients/", "/login"])
def test_every_page_says_the_intended_use(client: Client, browser: Client, address: str) -> None:
    response = (client if address == "/login" else browser).get(address)
    assertContains(response, "<strong>Research use only. Not a medical device.</strong>", html=True)
    assertContains(
        response, "result must not delay microscopy, flow cytometry or referral.", count=1
    )


def test_navigation_offers_what_the_user_may_see(
    browser_of: Callable[..., Client], admin_client: Client
) -> None:
    links = [">Patients</a>", ">Unassigned fields</a>", ">Admin</a>"]
    little = browser_of("add_patient").get("/patients/new").content.decode()
    everything = admin_client.get("/patients/").content.decode()
    # "Patients" stands in the breadcrumb, too.
    assert [little.count(link) for link in links] == [1, 0, 0]
    assert [everything.count(link) for link in links] == [1, 1, 1]


def test_errors_without_a_request_still_have_a_page_that_looks_like_the_others(
    client: Client,
) -> None:
    sheet = re.compile(r'href="/static/webapp/portal/(\w+)\.css"')
    sheets = sheet.findall(client.get("/login").content.decode())
    assert "tokens" in sheets
    for name in ("400.html", "500.html"):
        assert sheet.findall(render_to_string(name)) == sheets
