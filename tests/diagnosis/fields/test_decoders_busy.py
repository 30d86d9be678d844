"""Whoever finds no turn to have a picture decoded hears so, and nothing is lost or left behind."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.cases.services import CaseError
from diagnosis.core import decoding
from diagnosis.core.decoding.budget import Budget
from diagnosis.core.errors import DecodersBusyError
from diagnosis.core.formats.refusals import MAX_PIXELS
from diagnosis.core.state import Status
from diagnosis.fields import intake as services
from diagnosis.fields.screening import diagnoses_run_due
from diagnosis.fields.shadow import shadow_run
from diagnosis.models import Diagnosis, Report, ShadowAnswer
from diagnosis.reports.pdf import pictures
from patients.models import Specimen
from tests.diagnosis.api.sending import post, refused
from tests.diagnosis.killed.steps import actions_of, create_field, make_due, run_field, stored_files
from tests.diagnosis.made.costly_files import TOO_COSTLY
from tests.diagnosis.made.pictures import FakePredictor, live, make_contract, smear_jpeg
from tests.diagnosis.made.signing import read_case, sign
from webapp.audit.models import AuditEvent
from webapp.telemetry.metrics import UPLOAD_REFUSALS

pytestmark = pytest.mark.django_db

Busy = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Busy:
    """Makes others decode as much as may be decoded; nobody waits for a turn."""
    monkeypatch.setattr(decoding, "WAIT_S", 0.0)
    monkeypatch.setattr(pictures, "WAIT_S", 0.0)

    @contextmanager
    def hold() -> Iterator[None]:
        decoders = decoding._decoders
        with decoders.here.turn(MAX_PIXELS, 0), decoders.apart.turn(1, 0):
            yield

    return hold


def nothing_kept() -> bool:
    """Neither row, nor file, nor event."""
    received = AuditEvent.objects.filter(action="diagnosis.received")
    return not (Diagnosis.objects.exists() or received.exists() or stored_files())


def count() -> float:
    """Uploads that found no turn, so far."""
    return UPLOAD_REFUSALS.labels("busy")._value.get()


# --- Sending -------------------------------------------------------------------------------


def test_the_api_says_when_to_send_it_again(
    api: APIClient, smear: bytes, busy: Busy, predictor: FakePredictor
) -> None:
    before = count()
    with busy():
        response = post(api, smear)
    document = refused(response, 503, "busy")
    assert response["Retry-After"] == "5"
    assert "id" not in document
    assert nothing_kept()
    assert count() == before + 1
    assert post(api, smear).status_code == 201


def test_what_is_kept_and_finds_no_turn_to_be_screened_is_screened_later(
    api: APIClient, smear: bytes, busy: Busy, predictor: FakePredictor, clinician: User
) -> None:
    diagnosis = create_field(clinician, smear)
    with busy():
        waiting = run_field(diagnosis)
        assert waiting.status == Status.RECEIVED
        make_due(diagnosis)
        assert diagnoses_run_due() == 1
    waiting.refresh_from_db()
    assert (waiting.status, waiting.lease_until) == (Status.RECEIVED, None)
    assert waiting.attempts_max - waiting.attempts == diagnosis.attempts_max, "no attempt lost"
    make_due(diagnosis)
    assert diagnoses_run_due() == 1
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


def test_the_page_s_script_is_told_to_send_the_file_again(
    client_signed_in: Client, specimen: Specimen, smear: bytes, busy: Busy
) -> None:
    with busy():
        answer = client_signed_in.post(
            "/specimens/S-1",
            {"fields": SimpleUploadedFile("field.jpg", smear)},
            headers={"X-Requested-With": "fetch"},
        )
    assert answer.status_code == 503  # which upload.js takes for a lost connection
    assert answer["Retry-After"] == "5"
    assert nothing_kept()


def test_a_plain_form_says_it_of_each_file(
    client_signed_in: Client, specimen: Specimen, smear: bytes, busy: Busy
) -> None:
    files = [SimpleUploadedFile(f"{name}.jpg", smear) for name in ("left", "right")]
    with busy():
        answer = client_signed_in.post("/specimens/S-1", {"fields": files})
    assert answer.status_code == 200
    assert answer.content.decode().count("Send it again in a moment.") == 2
    assert nothing_kept()


def test_a_costly_file_is_refused_while_others_are_decoded(
    api: APIClient, busy: Busy, clinician: User
) -> None:
    with busy():
        refused(post(api, TOO_COSTLY["tiff: directories"]), 422, "too_costly")
        with pytest.raises(DecodersBusyError):
            services.diagnosis_create(actor=clinician, upload=smear_jpeg())


def test_a_picture_beyond_its_budget_is_refused_and_not_kept(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Budget(cpu_s=0.0001, memory=2**31, wall_s=300.0)
    monkeypatch.setattr("diagnosis.core.decoding.process.budget", lambda pixels: tiny)
    picture = io.BytesIO()
    Image.open(io.BytesIO(smear_jpeg(1, 1600, 1200))).save(picture, "PNG")
    document = refused(post(api, picture.getvalue()), 422, "too_costly")
    assert document["fix"].startswith("Export the picture again")
    assert nothing_kept()


# --- Looking -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["thumbnail", "activation"])
def test_a_small_picture_is_to_be_asked_for_again(
    client_signed_in: Client,
    clinician: User,
    smear: bytes,
    busy: Busy,
    address: str,
    predictor: FakePredictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("diagnosis.fields.activation._predictor", lambda diagnosis: predictor)
    diagnosis = create_field(clinician, smear)
    with busy():
        answer = client_signed_in.get(f"/diagnoses/{diagnosis.pk}/{address}")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert client_signed_in.get(f"/diagnoses/{diagnosis.pk}/{address}").status_code == 200


def test_a_report_is_not_drawn_up_without_its_pictures(
    client_signed_in: Client,
    clinician: User,
    specimen: Specimen,
    predictor: FakePredictor,
    busy: Busy,
) -> None:
    case = read_case(clinician, specimen)
    with busy():
        assert client_signed_in.get("/specimens/S-1/report.pdf").status_code == 503
        with pytest.raises(CaseError) as caught:
            sign(clinician, case)
    assert caught.value.code == "busy"
    assert not Report.objects.exists()
    assert sign(clinician, case)


def test_a_candidate_is_not_blamed_for_a_busy_decoder(
    clinician: User,
    predictor: FakePredictor,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    smear: bytes,
    busy: Busy,
) -> None:
    candidate = FakePredictor(make_contract(version=8, digest="f" * 64))
    run_field(create_field(clinician, smear))
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(predictor, candidate))
    settings.SHADOW = True
    with busy():
        assert shadow_run() == 0
    assert not ShadowAnswer.objects.exists()
