"""Beside a name that runs to the left, numbers keep their order: every value is isolated."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.fields.intake import diagnosis_create
from diagnosis.models import Case, Diagnosis, SavedView
from diagnosis.reports.content.view import sheet
from diagnosis.signing.services import case_amend
from diagnosis.storage.media import media_path
from patients.models import Patient, Specimen
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records
from tests.diagnosis.reports.printed import text
from tests.pages.isolation import ACCESSION, FILE, NAME, NUMBER, READER, REASON, VIEW, walk

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def reader_of_arabic(admin_user: User) -> User:
    """May do everything, and has an Arabic name."""
    admin_user.first_name, admin_user.last_name = READER.split()
    admin_user.save()
    return admin_user


@pytest.fixture
def browser(reader_of_arabic: User, client: Client) -> Client:
    client.force_login(reader_of_arabic)
    return client


@pytest.fixture
def case(reader_of_arabic: User, settings: Settings) -> Case:
    """Of an Arabic patient, read with an Arabic reason; one more field belongs to nobody."""
    settings.LABORATORY = NAME
    settings.MIN_USABLE_FIELDS = 1
    patient = Patient.objects.create(medical_record_number=NUMBER, name=NAME)
    specimen = Specimen.objects.create(patient=patient, accession_number=ACCESSION)
    for index in range(2):
        field = records.screened(reader_of_arabic, specimen, file_name=FILE)
        review_create(
            actor=reader_of_arabic,
            diagnosis=field,
            verdict=Verdict.OVERRIDE if index else Verdict.AGREE,
            label="Benign" if index else "",
            reason=REASON,
        )
    diagnosis_create(actor=reader_of_arabic, upload=records.png(), file_name=FILE)
    case = Case.objects.get()
    Case.objects.filter(pk=case.pk).update(assignee=reader_of_arabic)
    SavedView.objects.create(user=reader_of_arabic, name=VIEW, query="search=" + NUMBER)
    return case


def addresses(case: Case) -> dict[str, set[str]]:
    """The pages that show values, with those that they must show."""
    specimen, field = f"/specimens/{ACCESSION}", Diagnosis.objects.filter(specimen=case.specimen)[0]
    patient = case.specimen.patient_id
    own = Diagnosis.objects.get(specimen=None).pk
    admin = "/admin/patients"
    return {
        "/": {NAME, ACCESSION, READER, VIEW},
        f"/?search={NUMBER}": {NAME, VIEW},
        "/patients/": {NAME, NUMBER},
        f"/patients/?search={NAME}": {NAME, NUMBER},
        f"/patients/?search={NAME}x": {NAME},
        f"/patients/{patient}": {NAME, NUMBER, ACCESSION},
        f"/patients/{patient}/edit": set(),
        f"/patients/{patient}/delete": {NAME, NUMBER},
        f"/patients/{patient}/specimens/new": {NAME, NUMBER},
        f"{specimen}/edit": {NAME, NUMBER, ACCESSION},
        f"{specimen}/delete": {NAME, ACCESSION},
        specimen: {NAME, NUMBER, ACCESSION, READER},
        f"{specimen}/sign": {NAME, NUMBER, ACCESSION, REASON},
        f"{specimen}/report": {NAME, NUMBER, ACCESSION, READER, REASON, FILE},
        "/diagnoses": {NAME, ACCESSION},
        f"/diagnoses?search={NAME}": {NAME, ACCESSION},
        f"/diagnoses/{field.pk}": {NAME, NUMBER, ACCESSION, READER, FILE},
        f"/diagnoses/{own}/assign": set(),
        "/diagnoses/unassigned": {FILE},
        f"{admin}/patient/": {NAME, NUMBER},
        f"{admin}/patient/{patient}/change/": {NAME, NUMBER},
        f"{admin}/patient/{patient}/delete/": {NAME, NUMBER},
        f"{admin}/specimen/": {NAME, NUMBER, ACCESSION},
        f"{admin}/specimen/{case.specimen_id}/change/": {NAME, NUMBER, ACCESSION},
    }


# Each of admin's cells, headings and links holds one value and nothing beside it.
ALONE_IN_ADMIN = ("th/a", "tr/td", "td/a")


def bare(client: Client, address: str, shown: set[str]) -> list[str]:
    """What an address shows without isolation; it has to show all of ``shown``."""
    answer = client.get(address, follow=True)
    assert answer.status_code == 200, address
    found, where = walk(answer.content.decode())
    assert shown <= found, address
    if address.startswith("/admin"):
        where = [one for one in where if not one.split(": ")[0].endswith(ALONE_IN_ADMIN)]
        # Nothing that runs to the left stands beside it without being isolated itself.
        where = [one for one in where if not one.startswith(ACCESSION)]
    return [f"{address}: {one}" for one in where]


def test_every_page_isolates_every_value(case: Case, browser: Client) -> None:
    assert not [one for page in addresses(case).items() for one in bare(browser, *page)]


def test_a_signed_and_an_amended_case_too(
    case: Case, browser: Client, reader_of_arabic: User
) -> None:
    specimen = f"/specimens/{ACCESSION}"
    sign(reader_of_arabic, case, comment=REASON, reason=REASON)
    assert not bare(browser, specimen, {NAME, NUMBER, READER, REASON})
    assert not bare(browser, f"{specimen}/report", {NAME, READER, REASON})
    case_amend(actor=reader_of_arabic, case=case, reason=REASON)
    assert not bare(browser, specimen, {READER, REASON})


def test_messages_and_errors_isolate_what_they_quote(case: Case, browser: Client) -> None:
    patient, specimen = case.specimen.patient_id, f"/specimens/{ACCESSION}"
    form = {"medical_record_number": NUMBER, "name": NAME, "sex": "male"}
    own = Diagnosis.objects.get(specimen=None).pk
    for address, data, shown in [
        (f"/patients/{patient}/edit", form, {NAME, NUMBER}),
        (f"/patients/{patient}/edit", {**form, "name": "Ann", "seen": "0" * 32}, {NAME}),
        (f"{specimen}/edit", {"accession_number": ACCESSION, "seen": "0" * 32}, {ACCESSION}),
        ("/views/save", {"name": VIEW + "٢", "query": "priority=2"}, {VIEW}),
        (f"/diagnoses/{own}/assign", {"accession_number": NAME}, {NAME}),
        (f"/diagnoses/{own}/assign", {"accession_number": ACCESSION}, {ACCESSION}),
        (specimen, {"fields": SimpleUploadedFile(FILE, b"no image")}, {FILE}),
    ]:
        answer = browser.post(address, data, follow=True)
        found, where = walk(answer.content.decode())
        assert shown <= found, address
        assert not where, address


def test_the_pdf_keeps_the_order_of_what_stands_beside_a_name(
    case: Case, reader_of_arabic: User
) -> None:
    report = sign(reader_of_arabic, case, comment=REASON, reason=REASON)
    assert report
    content, signatures = json.loads(report.content), report.signatures
    lines = sheet(content, signatures, preliminary=False).conclusion_lines
    assert f"\u2068{READER}\u2069, " in lines[0].text
    printed = text(media_path(report.pdf_name).read_bytes())
    assert NUMBER in printed
    assert ACCESSION in printed
    moment = lines[0].text.rpartition(READER)[2].strip("\u2069, .")
    assert moment in printed, "its figures would stand in another order"
