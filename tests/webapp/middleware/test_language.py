"""The portal speaks the reader's language; programs, records and logs are in English."""

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template import loader
from django.test import Client
from django.utils import translation
from rest_framework.test import APIClient

from diagnosis.core.intended_use import INTENDED_USE
from diagnosis.models import Case
from patients.models import Patient
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-DE,de;q=0.9,en;q=0.5"}


@pytest.fixture
def patient() -> Patient:
    return Patient.objects.create(
        medical_record_number="MRN-7", name="Ada Example", date_of_birth="2017-03-09"
    )


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ("de-AT,de;q=0.9", "de", "Anmelden"),
        ("en-US,en;q=0.9,de;q=0.1", "en-gb", "Sign in"),
        ("fr", "en-gb", "Sign in"),
        ("", "en-gb", "Sign in"),
    ],
)
def test_the_browser_s_language_is_spoken_before_signing_in_and_english_otherwise(
    client: Client, asked: str, code: str, words: str
) -> None:
    answer = client.get("/login", HTTP_ACCEPT_LANGUAGE=asked)
    assert f"<h1>{words}</h1>" in answer.content.decode()
    assert f'<html lang="{code}">' in answer.content.decode()
    assert answer.headers["Content-Language"] == code
    assert "Accept-Language" in answer.headers["Vary"]


def test_the_choice_is_kept_and_wins_over_the_browser_s(client: Client) -> None:
    page = client.get("/login?next=/patients/").content.decode()
    assert 'value="/login?next=/patients/"' in page
    assert 'name="language" value="de" lang="de">Deutsch</button>' in page
    answer = client.post("/language", {"language": "de", "next": "/login?next=/patients/"})
    assert answer.headers["Location"] == "/login?next=/patients/"
    german = client.get("/login", HTTP_ACCEPT_LANGUAGE="en").content.decode()
    assert "<h1>Anmelden</h1>" in german
    assert 'value="de" lang="de" aria-current="true"' in german
    client.post("/language", {"language": "en-gb"})
    assert "<h1>Sign in</h1>" in client.get("/login", **GERMAN).content.decode()


def test_the_choice_leads_nowhere_else_and_takes_no_other_language(client: Client) -> None:
    sent = {"language": "xx", "next": "https://elsewhere.example/"}
    answer = client.post("/language", sent)
    assert answer.headers["Location"] == "/"
    assert not answer.cookies


def test_the_choice_is_protected_like_every_form() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post("/language", {"language": "de"}).status_code == 403


def test_dates_are_written_as_the_language_does(client_signed_in: Client, patient: Patient) -> None:
    address = f"/patients/{patient.pk}"
    assert "9 Mar 2017" in client_signed_in.get(address).content.decode()
    german = client_signed_in.get(address, **GERMAN).content.decode()
    assert ">09.03.2017</time>" in german
    assert 'datetime="2017-03-09"' in german


def test_a_form_says_in_german_what_is_wrong(client_signed_in: Client, patient: Patient) -> None:
    sent = {"medical_record_number": "mrn-7", "name": "", "date_of_birth": "2999-01-01"}
    page = client_signed_in.post("/patients/new", sent, **GERMAN).content.decode()
    for words in (
        "Diese Patientennummer ist bereits vergeben.",
        "Geben Sie den Namen der Patientin oder des Patienten ein.",
        "Dieses Datum liegt in der Zukunft; prüfen Sie Tag und Jahr.",
        ">Geburtsdatum",
        ">Weiblich<",
    ):
        assert words in page


def test_the_english_intended_use_stands_below_its_translation(client: Client) -> None:
    english = intended_use(client.get("/login").content.decode())
    german = intended_use(client.get("/login", **GERMAN).content.decode())
    assert english == INTENDED_USE
    assert english in german
    assert german.index("Nur für Forschungszwecke. Kein Medizinprodukt.") < german.index(english)
    translated = german[: german.index("Übersetzung zur Erleichterung")]
    assert translated.count(".") == english.count("."), "a sentence is missing"


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [("/nothing", 404, "Unter dieser Adresse"), ("/diagnoses", 403, "Ihr Konto darf das nicht.")],
)
def test_errors_are_in_german_too(
    client: Client, django_user_model: type[User], address: str, status: int, words: str
) -> None:
    client.force_login(django_user_model.objects.create_user("nobody"))
    answer = client.get(address, **GERMAN)
    assert answer.status_code == status
    assert words in answer.content.decode()


@pytest.mark.parametrize("name", ["400.html", "500.html"])
def test_errors_without_a_request_know_the_language(name: str) -> None:
    with translation.override("de"):
        page = loader.get_template(name).render()
    assert '<html lang="de">' in page
    assert "Zur Startseite" in page


# --- Not the reader's, but English -------------------------------------------------------


def test_the_api_answers_everybody_in_english(api: APIClient, patient: Patient) -> None:
    def ask(**headers: str) -> list[tuple[int, Any, dict[str, str]]]:
        invalid = {"medical_record_number": "mrn-7", "sex": "x", "date_of_birth": "2999-01-01"}
        answers = [
            api.get("/api/patients", **headers),
            api.get("/api/patients/999", **headers),
            api.post("/api/patients", invalid, **headers),
            api.post("/api/specimens", {"accession_number": "/", "stain": "x"}, **headers),
            api.post("/api/diagnose", {"image": "eA=="}, **headers),
            api.post("/api/diagnose", {}, **headers),
            api.put("/api/patients", {}, **headers),
            api.get("/api/nothing", **headers),
            api.options("/api/patients", **headers),
            api.get("/api/schema?format=json", **headers),
            APIClient().get("/api/patients", **headers),
        ]
        return [(answer.status_code, body(answer), described(answer)) for answer in answers]

    english = ask(HTTP_ACCEPT_LANGUAGE="en")
    api.cookies["django_language"] = "de"
    assert ask(**GERMAN) == english
    statuses = [status for status, _, _ in english]
    assert statuses == [200, 404, 400, 400, 415, 400, 405, 404, 200, 200, 401]
    assert "This date is in the future" in str(english[2][1])


@pytest.mark.parametrize("address", ["/healthz", "/readyz", "/metrics"])
def test_probes_and_metrics_are_in_english(client: Client, address: str) -> None:
    answer = client.get(address, **GERMAN)
    assert described(answer) == described(client.get(address))
    words = answer.content.decode()
    assert "status" in words or "leukemia_" in words


def test_the_audit_trail_is_in_english(client_signed_in: Client, patient: Patient) -> None:
    specimen = patient.specimens.create(accession_number="H26-1")
    Case.objects.create(specimen=specimen)
    client_signed_in.post("/specimens/H26-1/priority", {"priority": "1"}, **GERMAN)
    event = AuditEvent.objects.get(action="case.prioritised")
    assert event.detail == {"from": "Routine", "to": "Stat"}


def test_a_german_request_leaves_no_german_behind(client: Client) -> None:
    client.get("/login", **GERMAN)
    assert translation.get_language() == "en-gb"


def intended_use(page: str) -> str:
    """The words of the footer."""
    footer = page[page.index('<footer class="footer">') : page.index('<form class="cluster lang')]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", footer)).split())


def body(answer: Any) -> str:
    return re.sub(r'"request_id": ?"\w+"', "", answer.content.decode())


def described(answer: Any) -> dict[str, str]:
    """The headers, but those that differ from request to request."""
    differ = ("X-Request-ID", "Content-Length")
    return {name: value for name, value in answer.headers.items() if name not in differ}
