"""Two people correct one record: the later one sees what the earlier stored, and decides."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.test import Client
from pytest_django.asserts import assertContains, assertNotContains
from rest_framework.test import APIClient

from patients import services
from patients.models import Patient, Specimen

pytestmark = pytest.mark.django_db
SENTENCE = "Somebody else has changed this meanwhile."


@pytest.fixture
def browser(browser_of: Callable[..., Client]) -> Client:
    return browser_of("change_patient", "view_patient", "change_specimen", "view_specimen")


def inputs(page: str) -> dict[str, str]:
    """What a form holds, as a browser would send it."""
    found = dict(re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"', page))
    for name, options in re.findall(r'<select name="(\w+)".*?>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = chosen[1] if chosen else ""
    return found


def opened(client: Client, address: str) -> dict[str, str]:
    return inputs(client.get(address).content.decode())


def test_the_earlier_correction_of_a_patient_stays(patient: Patient, browser: Client) -> None:
    address = f"/patients/{patient.pk}/edit"
    first, second = opened(browser, address), opened(browser, address)
    assert browser.post(address, {**second, "sex": "male"}).status_code == 302
    answer = browser.post(address, {**first, "name": "Haddad, Lea", "date_of_birth": "2015-03-10"})
    assertContains(answer, SENTENCE)
    stored = Patient.objects.get()
    assert (stored.sex, stored.name) == ("male", "Haddad, Leila")
    # Theirs and what is stored, side by side, and nothing where both say the same.
    assertContains(answer, 'value="Haddad, Lea"')
    assertContains(answer, "Stored now: <bdi>Haddad, Leila</bdi>")
    assertContains(answer, "Stored now: <bdi>9 Mar 2015</bdi>")
    assertContains(answer, "Stored now: <bdi>Male</bdi>")
    assertNotContains(answer, "Stored now: <bdi>MRN-1</bdi>")
    # Whoever has seen both may save.
    again = inputs(answer.content.decode())
    assert browser.post(address, {**again, "sex": "male"}).status_code == 302
    stored.refresh_from_db()
    assert (stored.sex, stored.name, stored.date_of_birth) == (
        "male",
        "Haddad, Lea",
        date(2015, 3, 10),
    )


def test_the_earlier_correction_of_a_specimen_stays(specimen: Specimen, browser: Client) -> None:
    other = services.patient_create(actor=None, medical_record_number="MRN-2", name="B")
    address = "/specimens/H24-1/edit"
    first, second = opened(browser, address), opened(browser, address)
    moved = {**second, "medical_record_number": "MRN-2"}
    assert browser.post(address, moved).status_code == 302
    answer = browser.post(address, {**first, "site": "bone-marrow-aspirate"})
    assertContains(answer, SENTENCE)
    assertContains(answer, "Stored now: <bdi>MRN-2</bdi>")
    assertContains(answer, "Stored now: <bdi>Peripheral blood</bdi>")
    stored = Specimen.objects.get()
    assert (stored.patient, stored.site) == (other, "peripheral-blood")


def test_nothing_is_lost_in_admin_either(
    patient: Patient, specimen: Specimen, admin_client: Client
) -> None:
    for row, change in ((patient, {"sex": "male"}), (specimen, {"stain": "giemsa"})):
        address = f"/admin/patients/{row._meta.model_name}/{row.pk}/change/"
        sent = opened(admin_client, address)
        assert sent["seen"] == services.row_version(type(row)._default_manager.get(pk=row.pk))
        name, value = next(iter(change.items()))
        type(row)._default_manager.filter(pk=row.pk).update(**change)
        assertContains(admin_client.post(address, sent), SENTENCE)
        row.refresh_from_db()
        assert getattr(row, name) == value
        sent = opened(admin_client, address)
        assert sent[name] == value
        assert admin_client.post(address, sent).status_code == 302


def test_a_form_without_what_was_seen_is_compared_with_nothing(
    patient: Patient, browser: Client
) -> None:
    form = {"medical_record_number": "MRN-1", "name": "Haddad, Lea", "sex": "male"}
    assert browser.post(f"/patients/{patient.pk}/edit", form).status_code == 302
    assert Patient.objects.get().name == "Haddad, Lea"


def test_the_service_compares_the_stored_row(patient: Patient) -> None:
    seen = services.row_version(patient)
    services.patient_update(actor=None, patient=patient, seen=seen, sex="male")
    with pytest.raises(services.ChangedMeanwhileError) as caught:
        services.patient_update(actor=None, patient=patient, seen=seen, name="B")
    assert (caught.value.stored.pk, Patient.objects.get().name) == (patient.pk, "Haddad, Leila")


def api_row(client: APIClient, address: str) -> tuple[dict[str, Any], str]:
    answer = client.get(address)
    return answer.json(), answer.headers["ETag"]


def test_the_api_writes_what_is_sent_and_nothing_else(
    patient: Patient, api_of: Callable[..., APIClient]
) -> None:
    client = api_of("change_patient", "view_patient")
    address = f"/api/patients/{patient.pk}"
    assert client.patch(address, {"sex": "male"}).status_code == 200
    assert client.patch(address, {"name": "Haddad, Lea"}).status_code == 200
    stored = Patient.objects.get()
    assert (stored.sex, stored.name) == ("male", "Haddad, Lea")


@pytest.mark.parametrize("verb", ["put", "patch", "delete"])
def test_the_api_changes_what_its_client_has_seen(
    specimen: Specimen, api_of: Callable[..., APIClient], verb: str
) -> None:
    rights = ("change_patient", "change_specimen", "delete_specimen", "delete_patient")
    client = api_of(*rights, "view_patient", "view_specimen")
    addresses = ["/api/specimens/H24-1", f"/api/patients/{specimen.patient_id}"]
    changes: list[dict[str, Any]] = [{"site": "other"}, {"sex": "other"}]
    for address, change in zip(addresses, changes, strict=True):
        row, seen = api_row(client, address)
        row = {
            name: row[name] for name in row if name not in ("is_demonstration", "created_at", "id")
        }
        answer = client.patch(address, change, headers={"If-Match": seen})
        assert (answer.status_code, answer.headers["ETag"] != seen) == (200, True)
        answer = getattr(client, verb)(address, row, headers={"If-Match": seen})
        assert (answer.status_code, answer.json()["code"]) == (412, "changed_meanwhile")
        stored, now = api_row(client, address)
        assert stored.items() >= change.items()
        answer = getattr(client, verb)(address, row, headers={"If-Match": now})
        assert answer.status_code in (200, 204)
