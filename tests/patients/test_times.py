"""Times of a specimen on a clock that is put back and forward, and dates that cannot be."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from pytest_django.asserts import assertContains
from rest_framework.test import APIClient

from patients import services
from patients.models import Patient, Specimen
from webapp.text.clock import comes_twice, from_clock, on_clock

pytestmark = pytest.mark.django_db
EDIT = "/specimens/H24-1/edit"
FIRST = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)  # 02:30 +02:00
IMPOSSIBLE = (
    "0026-11-27T10:00:00Z",
    "1850-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
)
SECOND = datetime(2025, 10, 26, 1, 30, tzinfo=UTC)  # 02:30 +01:00


@pytest.fixture(autouse=True)
def berlin(settings: Settings) -> Iterator[None]:
    """The laboratory's clock; put back on 26 October 2025 at 3, forward on 30 March at 2."""
    settings.TIME_ZONE = "Europe/Berlin"
    timezone.get_default_timezone.cache_clear()
    yield
    settings.TIME_ZONE = "UTC"
    timezone.get_default_timezone.cache_clear()


@pytest.fixture
def browser(browser_of: Callable[..., Client]) -> Client:
    names = ("patient", "specimen")
    return browser_of(*(f"{verb}_{name}" for verb in ("add", "change", "view") for name in names))


def shown(client: Client, name: str = "collected_at") -> tuple[str, str]:
    """Kind and value of an input on the edit page."""
    page = client.get(EDIT).content.decode()
    found = re.search(rf'<input type="([\w-]+)" name="{name}" value="([^"]*)"', page)
    assert found
    return found[1], found[2]


def form(**values: str) -> dict[str, str]:
    plain = {"accession_number": "H24-1", "site": "other", "stain": "giemsa", "objective": "40x"}
    return {**plain, "medical_record_number": "MRN-1", **values}


def test_a_reading_of_the_clock() -> None:
    assert from_clock(datetime(2025, 10, 26, 2, 30)) == FIRST
    assert from_clock(datetime(2025, 3, 30, 2, 30)) is None
    assert [comes_twice(on_clock(at)) for at in (FIRST, SECOND)] == [True, True]
    assert not comes_twice(on_clock(datetime(2025, 3, 30, 1, 30, tzinfo=UTC)))


def test_the_hour_that_comes_twice_is_entered_and_chosen(
    specimen: Specimen, browser: Client
) -> None:
    sent = form(collected_at="2025-10-26T02:30", received_at="2025-10-26T02:40")
    assert browser.post(EDIT, sent).status_code == 302
    specimen.refresh_from_db()
    assert (specimen.collected_at, specimen.received_at) == (FIRST, FIRST.replace(minute=40))
    assert shown(browser) == ("text", "2025-10-26T02:30+02:00")
    assertContains(browser.get(EDIT), "the larger offset is the first time")
    sent = form(collected_at="2025-10-26T02:30+02:00", received_at="2025-10-26T02:40+01:00")
    assert browser.post(EDIT, sent).status_code == 302
    specimen.refresh_from_db()
    assert (specimen.collected_at, specimen.received_at) == (FIRST, SECOND.replace(minute=40))
    assert shown(browser, "received_at") == ("text", "2025-10-26T02:40+01:00")


@pytest.mark.parametrize("typed", ["2025-10-26T02:30", None])
def test_the_second_time_stays_when_something_else_is_edited(
    specimen: Specimen, browser: Client, typed: str | None
) -> None:
    Specimen.objects.update(collected_at=SECOND)
    answer = browser.post(EDIT, form(collected_at=typed or shown(browser)[1]))
    assert answer.status_code == 302
    specimen.refresh_from_db()
    assert (specimen.collected_at, specimen.site) == (SECOND, "other")


def test_a_new_specimen_of_that_hour(patient: Patient, browser: Client) -> None:
    sent = form(accession_number="NEW-1", collected_at="2025-10-26T02:59")
    assert browser.post(f"/patients/{patient.pk}/specimens/new", sent).status_code == 302
    assert Specimen.objects.get().collected_at == FIRST.replace(minute=59)


def test_the_hour_that_never_comes_is_refused(specimen: Specimen, browser: Client) -> None:
    answer = browser.post(EDIT, form(collected_at="2025-03-30T02:30"))
    assertContains(answer, "There is no such time: the clocks are put forward past it.")
    assertContains(answer, 'value="2025-03-30T02:30"')


def test_admin_takes_that_hour_and_leaves_it(specimen: Specimen, admin_client: Client) -> None:
    Specimen.objects.update(received_at=SECOND)
    address = f"/admin/patients/specimen/{specimen.pk}/change/"
    sent = form(patient=str(specimen.patient_id), collected_at_0="2025-10-26")
    sent |= {"collected_at_1": "02:30", "received_at_0": "2025-10-26", "received_at_1": "02:30:00"}
    assert admin_client.get(address).status_code == 200
    assert admin_client.post(address, sent).status_code == 302
    specimen.refresh_from_db()
    assert (specimen.collected_at, specimen.received_at) == (FIRST, SECOND)
    answer = admin_client.post(address, sent | {"collected_at_0": "2025-03-30"})
    assertContains(answer, "There is no such time")


def test_a_page_tells_the_two_apart(specimen: Specimen, admin_client: Client) -> None:
    Specimen.objects.update(collected_at=FIRST, received_at=SECOND)
    page = admin_client.get("/specimens/H24-1")
    assertContains(page, '2025-10-26T02:30:00+02:00">26 Oct 2025, 02:30 +02:00</time>')
    assertContains(page, '2025-10-26T02:30:00+01:00">26 Oct 2025, 02:30 +01:00</time>')


def test_the_api_asks_for_the_offset(specimen: Specimen, api_of: Callable[..., APIClient]) -> None:
    client = api_of("change_specimen", "view_specimen")
    for sent in ("2025-10-26T02:30", "2025-03-30T02:30"):
        answer = client.patch("/api/specimens/H24-1", {"collected_at": sent})
        assert "send it with its offset" in str(answer.json()["errors"])
    answer = client.patch("/api/specimens/H24-1", {"collected_at": "2025-10-26T02:30:00+01:00"})
    assert answer.json()["collected_at"] == "2025-10-26T02:30:00+01:00"


@pytest.mark.parametrize("sent", IMPOSSIBLE)
@pytest.mark.parametrize("name", ["collected_at", "received_at"])
def test_a_time_that_cannot_be_is_refused(
    patient: Patient, specimen: Specimen, api_of: Callable[..., APIClient], name: str, sent: str
) -> None:
    client = api_of("add_specimen", "change_specimen")
    body: dict[str, Any] = {"accession_number": "NEW-1", "patient": patient.pk, name: sent}
    assert client.post("/api/specimens", body).status_code == 400
    answer = client.patch("/api/specimens/H24-1", {name: sent})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])


@pytest.mark.parametrize("typed", ["0026-11-27T10:00", "0001-01-01T00:00", "1899-12-31T12:00"])
def test_the_form_says_that_the_year_is_wrong(
    specimen: Specimen, browser: Client, typed: str
) -> None:
    answer = browser.post(EDIT, form(collected_at=typed))
    assertContains(answer, "This time is before 1900; check the year.")


@pytest.mark.parametrize("year", [1, 26, 1850])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_what_was_kept_before_is_shown_and_can_be_mended(
    specimen: Specimen, admin_client: Client, settings: Settings, year: int, zone: str
) -> None:
    settings.TIME_ZONE = zone
    timezone.get_default_timezone.cache_clear()
    at = datetime(year, 1, 1, tzinfo=UTC)
    Specimen.objects.update(collected_at=at, received_at=at)
    pages = ["/", "/specimens/H24-1", f"/patients/{specimen.patient_id}", EDIT]
    pages += [f"/admin/patients/specimen/{specimen.pk}/change/", "/admin/patients/specimen/"]
    for page in pages:
        assert admin_client.get(page).status_code == 200, page
    assertContains(admin_client.get("/specimens/H24-1"), f"1 Jan {year:04}, 00:00 +00:00")
    assert admin_client.get("/api/specimens/H24-1").json()["collected_at"] in (
        f"{year:04}-01-01T00:00:00Z",
        f"{year:04}-01-01T00:00:00+00:00",
    )
    assert admin_client.post(EDIT, form(collected_at="", received_at="")).status_code == 302


def test_nothing_is_collected_before_birth(
    patient: Patient, browser: Client, api_of: Callable[..., APIClient]
) -> None:
    address = f"/patients/{patient.pk}/specimens/new"
    sentence = "This is before the patient was born"
    for name in ("collected_at", "received_at"):
        answer = browser.post(address, form(accession_number="N-1", **{name: "2015-03-08T23:59"}))
        assertContains(answer, sentence)
    sent = form(accession_number="N-1", collected_at="2015-03-09T00:00")
    assert browser.post(address, sent).status_code == 302, "the day of birth itself"


def test_the_api_refuses_it_too(
    patient: Patient, specimen: Specimen, api_of: Callable[..., APIClient]
) -> None:
    client = api_of("change_specimen", "change_patient")
    sent = {"received_at": "2014-01-01T10:00:00Z"}
    answer = client.patch("/api/specimens/H24-1", sent)
    assert "before the patient was born" in str(answer.json()["errors"]["received_at"])
    late = services.patient_create(
        actor=None, medical_record_number="LATE", name="B", date_of_birth="2024-01-01"
    )
    services.specimen_update(
        actor=None, specimen=specimen, collected_at=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert client.patch("/api/specimens/H24-1", {"patient": late.pk}).status_code == 400
    answer = client.patch(f"/api/patients/{patient.pk}", {"date_of_birth": "2020-01-02"})
    assert "H24-1" in str(answer.json()["errors"]["date_of_birth"])
    answer = client.patch(f"/api/patients/{patient.pk}", {"date_of_birth": "2020-01-01"})
    assert answer.status_code == 200


def test_a_patient_of_before_that_rule_can_still_be_corrected(
    patient: Patient, specimen: Specimen
) -> None:
    Specimen.objects.update(collected_at=datetime(2000, 1, 1, tzinfo=UTC))
    services.patient_update(actor=None, patient=patient, name="Haddad, Lea")
    assert Patient.objects.get().name == "Haddad, Lea"
