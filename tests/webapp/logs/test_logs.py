"""What the log says, in both formats, and that it names no person whatever goes wrong."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from logging.config import dictConfig
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DataError, IntegrityError, OperationalError
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.core.errors import ContractError, ImageRefusedError, PredictorError
from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.queue import screen_waiting
from diagnosis.fields.screening import diagnosis_run
from patients.models import Patient, Specimen
from tests.diagnosis.killed.steps import make_due
from tests.diagnosis.made.pictures import smear_jpeg
from webapp.logs.redaction import (
    RedactionFilter,
    telling_text,
    telling_traceback,
    without_identifiers,
)

pytestmark = pytest.mark.any_database

# Recognisable, and nowhere else in a log.
NAME, RECORD, ACCESSION, FILE = "Quentin Zweig", "MRN-731-Q", "ACC-2931-Z", "zweig_quentin_7.jpg"
NEEDLES = [*NAME.split(), RECORD, "ACC-", FILE, "_quentin"]


@pytest.fixture(params=["line", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the product's own handler writes, in each format; other handlers stay as they are."""
    written = io.StringIO()
    console = configured.LOGGING["handlers"]["console"]
    root = logging.getLogger()
    before = root.handlers[:]
    handler = {**console, "formatter": request.param, "stream": written}
    dictConfig({**configured.LOGGING, "handlers": {"console": handler}})
    yield written
    dictConfig(configured.LOGGING)
    root.handlers[:] = before


def entries(log: io.StringIO) -> list[dict[str, Any]]:
    """The lines of a log in JSON."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def is_json(log: io.StringIO) -> bool:
    return log.getvalue().startswith("{")


@pytest.fixture
def person(db: None) -> Patient:
    return Patient.objects.create(medical_record_number=RECORD, name=NAME)


@pytest.fixture
def specimen(person: Patient) -> Specimen:
    return Specimen.objects.create(accession_number=ACCESSION, patient=person)


def quote(*args: object, **kwargs: object) -> None:
    """Fails as careless code does, with the values at hand in the exception's text."""
    try:
        raise KeyError(f"{NAME}, {FILE}")
    except KeyError as error:
        raise ValueError(f"no such patient: {RECORD} / {ACCESSION}") from error


# --- Every kind of failure ---------------------------------------------------------------


def _missing(client: Client, api: APIClient) -> None:
    for address in (f"/specimens/{ACCESSION}/edit", f"/patients/{NAME}/edit", f"/{FILE}"):
        client.get(address, {"q": NAME})
    for address in (f"/api/specimens/{ACCESSION}/x", "/api/specimens/ACC-2931-Z%2F7"):
        api.get(address, {"name": NAME})


def _forbidden(client: Client, api: APIClient) -> None:
    strict = Client(enforce_csrf_checks=True)
    for referer in (f"https://other/patients/{NAME}?q={RECORD}", f"https://[{NAME}"):
        strict.post(f"/specimens/{ACCESSION}/edit", {"name": NAME}, HTTP_REFERER=referer)
        strict.post("/login", {"username": NAME}, secure=True, HTTP_REFERER=referer)
    APIClient().get(f"/api/specimens/{ACCESSION}")
    api.delete(f"/api/diagnoses/{RECORD}")
    api.delete("/api/diagnoses/1")


def _refused(client: Client, api: APIClient) -> None:
    patient = Patient.objects.create(medical_record_number=RECORD, name=NAME)
    Specimen.objects.create(accession_number=ACCESSION, patient=patient)
    for image in (smear_jpeg()[:2000], b"no image", smear_jpeg()):
        for name in (FILE, f"../../{FILE}", "..", f"{FILE}\x00"):
            file = SimpleUploadedFile("x", image)
            file._name = name  # type: ignore[attr-defined]
            api.post("/api/diagnose", {"image": file, "specimen": ACCESSION}, format="multipart")
            client.post(f"/specimens/{ACCESSION}", {"fields": file})
            client.post("/diagnoses/unassigned", {"fields": file})
    api.post("/api/diagnose", {"image": NAME, "file_name": FILE, "specimen": ACCESSION})
    api.post("/api/diagnose", data=f'{{"image": {NAME}', content_type="application/json")
    api.post("/api/patients", {"medical_record_number": RECORD, "name": NAME})
    client.post("/patients/new", {"medical_record_number": RECORD, "name": NAME})


def _suspicious(client: Client, api: APIClient) -> None:
    client.get(f"/patients/{NAME}", HTTP_HOST="evil.example.org")
    client.post("/patients/new", {f"{NAME}{number}": "x" for number in range(2000)})
    client.cookies["sessionid"] = NAME.replace(" ", "")
    client.get("/patients/", {"q": NAME})


def _fault(client: Client, api: APIClient) -> None:
    """With functions below the views replaced by ``quote``."""
    client.raise_request_exception = api.raise_request_exception = False
    client.get("/patients/", {"q": NAME})
    api.get("/api/patients", {"search": NAME})
    values = {"medical_record_number": RECORD, "name": NAME, "sex": "unknown"}
    client.post("/patients/new", values)
    api.post("/api/patients", values)


@pytest.mark.parametrize("provoke", [_missing, _forbidden, _refused, _suspicious, _fault])
def test_no_failure_of_a_request_names_a_person(
    log: io.StringIO,
    provoke: Callable[[Client, APIClient], None],
    client_signed_in: Client,
    api: APIClient,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.MODEL_STORE = tmp_path  # what can be kept waits for a model, which is logged too
    if provoke is _fault:
        monkeypatch.setattr("patients.services.listing_record", quote)
        monkeypatch.setattr("patients.services._save", quote)
    provoke(client_signed_in, api)
    written = log.getvalue()
    assert written, "something was logged"
    assert [needle for needle in NEEDLES if needle.lower() in written.lower()] == []
    if provoke is _fault:
        assert written.count("Internal Server Error: ") == 4
        assert "ValueError: " in written
        assert "KeyError: " in written, "what it came of"
        assert "in quote" in written, "where it happened"
        assert "/patients/new" in written


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"{NAME} {RECORD}"),
        OSError(28, "No space left on device", f"/srv/{FILE}"),
        IntegrityError(1062, f"Duplicate entry '{RECORD}' for key 'number'"),
        UnicodeDecodeError("utf-8", NAME.encode(), 0, 1, NAME),
    ],
)
def test_no_failure_of_the_worker_names_a_person(
    log: io.StringIO,
    error: Exception,
    clinician: User,
    specimen: Specimen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise error

    diagnosis, _ = diagnosis_create(
        actor=clinician, upload=smear_jpeg(), file_name=FILE, specimen=specimen
    )
    monkeypatch.setattr("diagnosis.fields.screening.image_read", fail)
    diagnosis_run(diagnosis_id=diagnosis.pk)
    make_due(diagnosis)
    monkeypatch.setattr("diagnosis.fields.screening.diagnosis_lease", lambda **kwargs: fail(FILE))
    with pytest.raises(type(error)) as raised:
        screen_waiting.call()
    logging.getLogger("django_tasks").exception("Task failed", exc_info=raised.value)
    written = log.getvalue()
    assert f"Diagnosis {diagnosis.pk}, attempt 1: {type(error).__name__}" in written
    assert [needle for needle in NEEDLES if needle in written] == []


# --- What is still said ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PredictorError("the server is away", permanent=False), "the server is away"),
        (ContractError("promote a version"), "promote a version"),
        (
            ImageRefusedError("cut_off", "It is cut off.", "Send it all."),
            "cut_off: It is cut off. Se",
        ),
        (OSError(28, "No space left on device", FILE), "No space left on device"),
        (OSError(FILE), "…"),
        (OperationalError("database is locked"), "database is locked"),
        (OperationalError(2003, f"Can't connect for {NAME}"), "2003"),
        (DataError(1406, f"Data too long: {NAME}"), "1406"),
        (OperationalError(), "…"),
        (KeyError(NAME), "…"),
    ],
)
def test_of_an_exception_what_helps(error: Exception, text: str) -> None:
    said = telling_text(error)
    assert said.startswith(f"{type(error).__name__}: {text}")
    assert [needle for needle in NEEDLES if needle in said] == []


def test_causes_come_first_and_hidden_ones_not_at_all() -> None:
    with pytest.raises(ValueError, match=RECORD) as raised:
        quote()
    told = telling_traceback(raised.value)
    assert re.findall(r"^\w+Error", told, re.MULTILINE) == ["KeyError", "ValueError"]
    raised.value.__suppress_context__ = True
    raised.value.__cause__ = None
    assert "KeyError" not in telling_traceback(raised.value)
    raised.value.__cause__ = raised.value  # a ring ends
    assert telling_traceback(raised.value).count("Traceback") == 1


def test_an_exception_s_text_as_message() -> None:
    error = ValueError(f"no {NAME}")
    for message, args in ((f"It failed: {error}", ()), ("It failed: %s", (error,)), (error, ())):
        record = logging.LogRecord("x", 40, "", 0, message, args, (ValueError, error, None))
        assert RedactionFilter().filter(record)
        assert "ValueError: …" in record.getMessage()
        assert NAME not in record.getMessage() + str(record.exc_text)
        assert record.exc_info is None, "no later handler prints it in full"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/patients/", "/patients/"),
        ("/patients/17/edit", "/patients/…/edit"),
        ("/patients/Quentin Zweig/edit", "/patients/…/edit"),
        ("/specimens/ACC/2931/edit?patient=17", "/specimens/…/…/edit?…"),
        ("/admin/patients/patient/17/change/", "/admin/patients/patient/…/change/"),
        ("/api/diagnoses/17/image", "/api/diagnoses/…/image"),
        ("/zweig", "/…"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_of_an_address_the_words_of_routes(path: str, kept: str) -> None:
    assert without_identifiers(path) == kept


def test_before_the_addresses_are_known_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("halfway")

    monkeypatch.setattr("webapp.logs.redaction._route_words", broken)
    assert without_identifiers("/patients/17") == "/…/…"


@pytest.mark.django_db
def test_an_entry_says_when_what_and_in_which_request(log: io.StringIO, api: APIClient) -> None:
    before = datetime.now(UTC)
    response = api.get("/api/patients/99/x")
    after = datetime.now(UTC)
    if not is_json(log):
        assert re.search(
            rf" WARNING django.request \[{response['X-Request-ID']}\] Not Found: /api/patients/…/…",
            log.getvalue(),
        )
        return
    (entry,) = entries(log)
    when = datetime.fromisoformat(entry.pop("timestamp"))
    assert when.utcoffset() == timedelta(0)
    assert before.replace(microsecond=0) <= when <= after
    assert entry == {
        "level": "WARNING",
        "logger": "django.request",
        "message": "Not Found: /api/patients/…/…",
        "request_id": response["X-Request-ID"],
        "status": 404,
    }


def test_an_entry_is_one_line_with_nothing_that_was_attached(log: io.StringIO) -> None:
    try:
        raise PredictorError("two\nlines", permanent=True)
    except PredictorError:
        logging.getLogger("diagnosis").exception("It\nfailed", extra={"patient": NAME})
    assert NAME not in log.getvalue()
    if is_json(log):
        (entry,) = entries(log)
        assert entry["message"] == "It\nfailed"
        assert entry["exception"].endswith("PredictorError: two\nlines")


def test_django_has_no_handler_of_its_own() -> None:
    """One would print to the console where DEBUG is on, the other mail whole requests."""
    assert logging.getLogger("django").handlers == []
    assert logging.getLogger("django").propagate
