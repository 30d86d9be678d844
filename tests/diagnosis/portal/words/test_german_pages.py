"""A walk through the portal in German: nothing on the way is said in English."""

import gettext
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from diagnosis.cases.services import agree_with_all
from diagnosis.models import Case
from patients.models import Specimen
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records
from tests.pages.words import PageWords
from tests.product import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de"}
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}")

PATHS = (
    "/",
    "/?show=suspicious",
    "/?search=nobody",
    "/?received_from=2026-02-02&received_to=2026-02-01&priority=9",
    "/diagnoses",
    "/diagnoses?search=nobody",
    "/diagnoses/unassigned",
    "/dashboard",
    "/dashboard?days=365&inputs=accepted",
    "/patients/",
    "/patients/?search=nobody",
    "/patients/new",
    "/patients/{patient}",
    "/patients/{patient}/edit",
    "/patients/{patient}/delete",
    "/patients/{patient}/specimens/new",
    "/specimens/H26-1",
    "/specimens/H26-1/edit",
    "/specimens/H26-1/delete",
    "/specimens/H26-1/sign",
    "/specimens/H26-1/report",
    "/specimens/H26-2",
    "/diagnoses/{screened}",
    "/diagnoses/{refused}",
    "/diagnoses/{failed}",
    "/diagnoses/{received}",
    "/diagnoses/{lone}/assign",
    "/nothing",
)


@pytest.fixture(scope="module", autouse=True)
def _imported_in_english() -> None:
    """As a server starts, so that a word that is looked up too early is heard."""
    with translation.override("en-gb"):
        import_module("webapp.urls")


@pytest.fixture
def ids(clinician: User, specimen: Specimen, digest: str) -> dict[str, int]:
    """Numbers of a field of every kind; another specimen waits for what is received."""
    other = Specimen.objects.create(patient=specimen.patient, accession_number="H26-2")
    fields = {
        "screened": records.screened(clinician, specimen, digest=digest),
        "refused": records.refused(clinician, specimen),
        "failed": records.failed(clinician, other),
        "received": records.received(clinician, other),
        "lone": records.screened(clinician, None),
    }
    return {"patient": specimen.patient_id} | {name: field.pk for name, field in fields.items()}


def test_the_pages(client_signed_in: Client, clinician: User, ids: dict[str, int]) -> None:
    agree_with_all(actor=clinician, case=Case.objects.get(specimen__accession_number="H26-1"))
    assert english_on(client_signed_in, ids) == {}


def test_the_pages_of_a_signed_case(
    client_signed_in: Client, clinician: User, ids: dict[str, int]
) -> None:
    case = Case.objects.get(specimen__accession_number="H26-1")
    agree_with_all(actor=clinician, case=case)
    assert sign(clinician, case)
    assert english_on(client_signed_in, ids) == {}


def test_the_pages_of_a_blinded_first_read(
    client_signed_in: Client, ids: dict[str, int], settings: Settings
) -> None:
    settings.BLINDED_FIRST_READ = True
    assert english_on(client_signed_in, ids) == {}


@pytest.mark.parametrize(
    ("path", "sent", "said"),
    [
        ("/diagnoses/{screened}/review", {}, "Es wurde nichts erfasst: Wählen Sie"),
        (
            "/diagnoses/{screened}/review",
            {"verdict": "override", "label": "Benign"},
            "Es wurde nichts erfasst. Geben Sie eine Begründung an",
        ),
        ("/diagnoses/{lone}/review", {"verdict": "agree"}, "einer Probe zu, bevor Sie es befunden"),
        ("/specimens/H26-1/agree-with-all", {}, "1 Gesichtsfeld zugestimmt."),
        ("/specimens/H26-1/priority", {"priority": "9"}, "Die Dringlichkeit bleibt"),
        ("/specimens/H26-1/amend", {"reason": "x"}, "Nur ein signierter Fall"),
        ("/specimens/H26-1/sign", {}, "Er kann jetzt nicht signiert werden."),
        ("/diagnoses/{screened}/assign", {"accession_number": "H26-2"}, "bereits einer Probe"),
    ],
)
def test_messages(
    client_signed_in: Client, ids: dict[str, int], path: str, sent: dict[str, str], said: str
) -> None:
    answer = client_signed_in.post(path.format(**ids), sent, follow=True, **GERMAN)
    page = answer.content.decode()
    assert said in page
    assert list(english_in(page)) == []


def test_what_is_wrong_with_a_file(
    client_signed_in: Client, ids: dict[str, int], settings: Settings
) -> None:
    settings.MAX_UPLOAD_BYTES = 3 * 2**20
    large = SimpleUploadedFile("large.png", bytes(3 * 2**20 + 2**19))
    text = SimpleUploadedFile("notes.txt", b"no picture")
    dicom = SimpleUploadedFile("slide.dcm", bytes(128) + b"DICM")
    answer = client_signed_in.post("/specimens/H26-2", {"fields": [large, text, dicom]}, **GERMAN)
    page = answer.content.decode()
    assert "Die Datei hat 3,5 MiB; höchstens 3 MiB werden angenommen." in page
    assert "Die Datei ist kein lesbares Bild." in page
    assert "Die Pixel der DICOM-Datei sind auf eine Weise kodiert" in page
    assert page.count("Nicht gespeichert</span>") >= 3
    assert list(english_in(page)) == []


def test_the_walk_hears_english() -> None:
    page = "<p>Close</p><td title='3 of 4 usable'></td><p>Zwei. An administrator can have it tried"
    page += " again.</p><div lang='en-GB'>Sign out</div><p>Nothing that we say</p>"
    assert list(english_in(page)) == [
        "Close",
        "3 of 4 usable",
        "Zwei. An administrator can have it tried again.",
    ]


def english_on(client: Client, ids: dict[str, int]) -> dict[str, list[str]]:
    """What the pages say in English, by path."""
    found = {}
    for path in PATHS:
        answer = client.get(path.format(**ids), **GERMAN, follow=True)
        assert answer.status_code == (404 if path == "/nothing" else 200), path
        page = answer.content.decode()
        assert '<html lang="de">' in page, path
        if words := list(english_in(page)):
            found[path] = words
    return found


def english_in(page: str) -> Iterator[str]:
    """What a page says in the words of the code, where German has other ones."""
    words = PageWords()
    words.feed(page)
    words.close()
    for said in words.words:
        if is_english(said):
            yield said


@cache
def is_english(said: str) -> bool:
    """Whether the catalogue has other words for ``said``, or for part of it."""
    return any(known.search(said) for known in ENGLISH)


def _english() -> Iterator[re.Pattern[str]]:
    with (ROOT / "webapp/locale/de/LC_MESSAGES/django.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    for key, german in catalogue.items():
        english = (key[0] if isinstance(key, tuple) else key).rpartition("\x04")[2]
        letters = re.sub(r"\W", "", _PLACEHOLDER.sub("", english))
        if len(letters) < 2 or _PLACEHOLDER.sub("", english) == _PLACEHOLDER.sub("", german):
            continue
        pattern = ".+?".join(map(re.escape, _PLACEHOLDER.split(" ".join(english.split()))))
        # A sentence may stand beside others; a word alone must be all that is said.
        yield re.compile(pattern if len(english.split()) > 3 else rf"\A{pattern}\Z")


ENGLISH = list(_english())
