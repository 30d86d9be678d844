"""The page of a report and its PDF over HTTP; what was signed is served as it was signed."""

import hashlib
import io
import logging
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.utils.html import strip_tags
from pypdf import PdfReader
from pytest_django import Settings

from diagnosis.models import Report
from diagnosis.models.triggers import history_protect
from diagnosis.signing.services import case_amend
from diagnosis.storage.media import media_path
from patients.models import Specimen
from patients.services import patient_update, specimen_update
from tests.diagnosis.portal import records
from tests.diagnosis.reports.made import REASON, case_of, sign
from webapp.audit.models import AuditEvent
from webapp.audit.triggers import triggers_drop

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PAGE, PDF = "/specimens/H26-1/report", "/specimens/H26-1/report.pdf"


@pytest.fixture
def browser(client_signed_in: Client) -> Client:
    """The clinician's."""
    return client_signed_in


def words(client: Client, address: str = PAGE) -> str:
    """The page's words, white space collapsed."""
    answer = client.get(address)
    assert answer.status_code == 200
    page = re.sub("</?bdi>", "", answer.content.decode())  # it parts no words
    return " ".join(strip_tags(page.replace("<", " <")).split())


def first_page(data: bytes) -> str:
    return PdfReader(io.BytesIO(data)).pages[0].extract_text()


# --- Who may, and what is left of it -----------------------------------------------------


@pytest.mark.parametrize("address", [PAGE, PDF])
@pytest.mark.parametrize("missing", ["view_report", "view_diagnosis"])
def test_it_takes_both_permissions(
    client: Client, read_case: Specimen, second_reader: User, address: str, missing: str
) -> None:
    client.force_login(second_reader)
    names = {"view_report", "view_diagnosis"}
    second_reader.user_permissions.set(Permission.objects.filter(codename__in=names - {missing}))
    assert client.get(address).status_code == 403
    second_reader.user_permissions.set(Permission.objects.filter(codename__in=names))
    assert client.get(address).status_code == 200


@pytest.mark.parametrize("address", [PAGE, PDF])
def test_nobody_signed_in_is_sent_to_sign_in(
    client: Client, read_case: Specimen, address: str
) -> None:
    assert client.get(address)["Location"].startswith("/login")


@pytest.mark.parametrize(
    "query", ["?number=2", "?number=0", "?number=x", "?number=-1", "?number=99999999999"]
)
@pytest.mark.parametrize("address", [PAGE, PDF])
def test_a_report_that_is_not_there(
    browser: Client, signed: Report, address: str, query: str
) -> None:
    assert browser.get(address + query).status_code == 404


@pytest.mark.parametrize("address", ["/specimens/S-9/report", "/specimens/S-9/report.pdf"])
def test_a_case_that_is_not_there(browser: Client, address: str) -> None:
    assert browser.get(address).status_code == 404


def test_reading_it_is_on_record(browser: Client, read_case: Specimen, reader: User) -> None:
    browser.get(PAGE)
    browser.get(PDF)
    sign(reader, read_case)
    browser.get(PAGE)
    browser.get(f"{PDF}?number=1")
    events = AuditEvent.objects.filter(action="report.viewed").order_by("pk")
    assert [event.detail for event in events] == [
        {"number": 1, "form": "html", "signed": False},
        {"number": 1, "form": "pdf", "signed": False},
        {"number": 1, "form": "html", "signed": True},
        {"number": 1, "form": "pdf", "signed": True},
    ]
    assert {event.target_id for event in events} == {str(case_of(read_case).pk)}
    assert {event.actor for event in events} == {reader}


# --- What it says ------------------------------------------------------------------------


def test_the_case_page_leads_to_it(browser: Client, read_case: Specimen, reader: User) -> None:
    assert "Preliminary report" in words(browser, "/specimens/H26-1")
    sign(reader, read_case)
    page = browser.get("/specimens/H26-1").content.decode()
    assert f'href="{PAGE}"' in page
    assert "Preliminary report" not in page


def test_an_open_case_shows_what_its_report_would_say(browser: Client, read_case: Specimen) -> None:
    found = words(browser)
    for part in (
        "PRELIMINARY – AI, UNVERIFIED Nobody has signed this.",
        "Patient Ada Example",
        "Magnification (objective) 100×, oil immersion",
        "No reader has concluded on this case yet.",
        "3 used, 1 refused, 1 failed, 0 waiting; 5 in all",
        "Model category Pre-B (data-set label; immunophenotyping required)",
        "Malignant Pro-B < 0.1",
        f"Changed to Pro-B Reason: {REASON} Grace Hopper,",
        "Colours of a stained smear: 0.12, at least 0.60 needed.",
        "m from 60.0",
        "one hospital, one stain and one camera",
        "No signature.",
        "Research use only. Not a medical device.",
    ):
        assert part in found.replace("&lt;", "<"), part
    assert "FINAL" not in found
    assert "Signed reports of this case" not in found


def correct(reader: User, specimen: Specimen, **changes: str) -> None:
    patient_update(actor=reader, patient=specimen.patient, reason="Misspelt.", **changes)


def test_a_signed_case_shows_what_was_signed(
    browser: Client, signed: Report, read_case: Specimen, reader: User
) -> None:
    correct(reader, read_case, name="Corrected Name")
    found = words(browser, f"{PAGE}?number=1")
    assert "FINAL FINAL means" in found
    assert "Patient Ada Example" in found
    assert "Review: I have read every usable field" in found
    assert signed.content_sha256 in found
    for part in ("Signed reports of this case", "Grace Hopper", signed.content_sha256[:16]):
        assert part in found
    assert f'href="{PDF}?number=1"' in browser.get(PAGE).content.decode()


def test_what_people_typed_is_escaped(browser: Client, read_case: Specimen, reader: User) -> None:
    sign(reader, read_case, comment="<script>alert(1)</script>\nsecond line")
    page = browser.get(PAGE).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>second line" in page


def test_an_amended_case(
    browser: Client, signed: Report, read_case: Specimen, reader: User
) -> None:
    case_amend(actor=reader, case=case_of(read_case), reason="Wrong slide")
    opened = words(browser)
    assert "PRELIMINARY – AI, UNVERIFIED" in opened
    assert "Once signed, this report replaces report 1" in opened
    assert "FINAL" in words(browser, f"{PAGE}?number=1"), "the first stays what it was"
    sign(reader, read_case, headline="indeterminate", reason="Few cells")
    latest = words(browser)
    assert "AMENDED This report replaces report 1" in latest
    assert "Wrong slide" in latest
    first = words(browser, f"{PAGE}?number=1")
    assert "This report has been replaced by report 2." in first
    assert "Report 2" in first
    assert "replaced by" not in latest


def test_one_of_two_signatures(
    browser: Client, read_case: Specimen, reader: User, settings: Settings
) -> None:
    settings.SIGNATURES_REQUIRED = 2
    sign(reader, read_case)
    assert "Signed by 1 of the 2 people" in words(browser)
    assert "Signed by 1 of the 2 people" in first_page(browser.get(PDF).content).replace("\n", " ")
    settings.SIGNATURES_REQUIRED = 1
    found = words(browser)
    assert "PRELIMINARY" in found, "no report was made when the setting changed"
    assert "FINAL" not in found


# --- What has changed since --------------------------------------------------------------

CHANGED = "The case has changed since this report was signed."


def test_nothing_has_changed(browser: Client, signed: Report) -> None:
    assert CHANGED not in words(browser)


def test_a_field_came_later(
    browser: Client, signed: Report, read_case: Specimen, reader: User
) -> None:
    records.received(reader, read_case)
    assert f"{CHANGED} 1 field came after it." in words(browser)
    records.received(reader, read_case)
    assert f"{CHANGED} 2 fields came after it." in words(browser)


@pytest.mark.parametrize("whose", ["patient", "specimen"])
def test_details_were_corrected(
    browser: Client, signed: Report, read_case: Specimen, reader: User, whose: str
) -> None:
    if whose == "patient":
        correct(reader, read_case, sex="unknown")
    else:
        specimen_update(actor=reader, specimen=read_case, stain="giemsa", reason="Misread.")
    found = words(browser, f"{PAGE}?number=1")
    assert f"{CHANGED} Details of the {whose} have been corrected. " in found


def test_readings_changed_while_it_is_being_amended(
    browser: Client, signed: Report, read_case: Specimen, reader: User
) -> None:
    from diagnosis.cases.services import review_create
    from diagnosis.core.state import Verdict
    from diagnosis.models import Diagnosis

    case_amend(actor=reader, case=case_of(read_case), reason="Wrong slide")
    field = Diagnosis.objects.filter(specimen=read_case).earliest("pk")
    review_create(actor=reader, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Blurred")
    found = words(browser, f"{PAGE}?number=1")
    assert f"{CHANGED} Readings of fields have changed." in found


def test_the_laboratory_moved(browser: Client, signed: Report, settings: Settings) -> None:
    settings.LABORATORY = "Elsewhere"
    found = words(browser)
    assert f"{CHANGED} The laboratory’s name or address has changed." in found
    assert "Example Street 1" in found


def test_a_model_store_without_the_version_changes_no_case(
    browser: Client, signed: Report, settings: Settings
) -> None:
    settings.MODEL_STORE = settings.MODEL_STORE / "elsewhere"
    found = words(browser)
    assert CHANGED not in found
    assert "m from 60.0" in found, "as it was signed"


# --- The file ----------------------------------------------------------------------------


def test_an_open_case_s_pdf_is_made_on_the_spot(browser: Client, read_case: Specimen) -> None:
    answer = browser.get(PDF)
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == 'inline; filename="H26-1-report-1-preliminary.pdf"'
    assert "no-store" in answer["Cache-Control"]
    assert "PRELIMINARY – AI, UNVERIFIED" in first_page(answer.content)


def test_the_pdf_of_a_signed_case_is_never_made_again(
    browser: Client,
    signed: Report,
    read_case: Specimen,
    reader: User,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even if the code, the records or the settings would make another one now."""
    before = browser.get(PDF)
    assert hashlib.sha256(before.content).hexdigest() == signed.pdf_sha256
    assert before["Content-Disposition"] == 'inline; filename="H26-1-report-1.pdf"'
    correct(reader, read_case, name="Corrected Name")
    settings.LABORATORY = "Elsewhere"
    settings.TIME_ZONE = "Asia/Tokyo"
    monkeypatch.setattr("diagnosis.reports.pdf.document.render", lambda *_, **__: b"another")
    assert browser.get(f"{PDF}?number=1").content == before.content
    assert "Ada Example" in first_page(before.content)


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_file_is_not_served(
    browser: Client, signed: Report, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = media_path(signed.pdf_name)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    with caplog.at_level(logging.ERROR, "diagnosis.portal.views.reports"):
        answer = browser.get(PDF)
    assert answer.status_code == 500
    assert answer["Content-Type"].startswith("text/html")
    page = answer.content.decode()
    assert "missing or is not the one that was signed" in page
    assert "check_integrity" in page
    (said,) = [row.getMessage() for row in caplog.records if row.name.startswith("diagnosis")]
    assert f"PDF of report 1 of case {signed.case_id} " in said
    assert "Ada" not in said
    assert not AuditEvent.objects.filter(action="report.viewed").exists()
    assert damage == "changed" or not path.exists(), "nothing was made in its place"


@pytest.mark.django_db(transaction=True)  # MySQL commits whatever comes before a trigger goes
@pytest.mark.parametrize("address", [PAGE, PDF])
def test_a_content_that_was_changed_behind_the_product_s_back(
    browser: Client, signed: Report, address: str
) -> None:
    from django.apps import apps

    from webapp.audit.triggers import triggers_make

    triggers_drop()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE diagnosis_report SET content = REPLACE(content, 'suspicious', 'harmless')"
        )
    triggers_make(apps.get_app_config("audit"))
    history_protect()
    assert browser.get(address).status_code == 500
