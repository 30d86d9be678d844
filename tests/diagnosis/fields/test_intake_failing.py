import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from diagnosis.core.errors import ContractError, PredictorError
from diagnosis.core.state import Status
from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis
from diagnosis.storage.media import media_path
from patients.models import Specimen
from tests.clock import clock_at
from tests.diagnosis.killed.steps import actions_of, create_field, make_due, run_field
from tests.diagnosis.made.pictures import (
    FakePredictor,
    smear_jpeg,
)
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


# --- Failing, waiting, giving up ---------------------------------------------------------


def test_a_model_that_is_away_is_asked_again_with_growing_pauses(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = create_field(clinician, smear)
    predictor.error = PredictorError("connection refused", permanent=False)
    pauses = []
    for attempt in range(1, ATTEMPTS_ALLOWED):
        with clock_at(asked := timezone.now()):
            result = run_field(diagnosis)
        assert (result.status, result.attempts) == (Status.RECEIVED, attempt)
        assert result.lease_until is None
        assert result.next_attempt_at is not None
        pauses.append((result.next_attempt_at - asked).total_seconds())
        with clock_at(asked):
            assert run_field(diagnosis).attempts == attempt, "not before its time"
        make_due(diagnosis)
    assert pauses == [5, 10, 20, 40, 80, 160, 300]
    result = run_field(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "model_unavailable")
    assert (result.outcome, result.next_attempt_at) == (None, None)
    assert predictor.calls == ATTEMPTS_ALLOWED
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.failed"]


def test_a_model_that_comes_back_finishes_what_waited(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = create_field(clinician, smear)
    predictor.error = PredictorError("connection refused", permanent=False)
    run_field(diagnosis)
    predictor.error = None
    make_due(diagnosis)
    assert run_field(diagnosis).status == Status.SCREENED


def test_a_permanent_error_is_not_tried_again(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    predictor.error = PredictorError("wrong shape", permanent=True)
    result = run_field(create_field(clinician, smear))
    assert (result.status, result.failure, result.attempts) == (
        Status.FAILED,
        "model_unavailable",
        1,
    )


def test_without_a_live_version_the_field_waits(
    clinician: User, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_live() -> None:
        raise ContractError("no version is live")

    monkeypatch.setattr("diagnosis.fields.live_model._current", none_live)
    result = run_field(create_field(clinician, smear))
    assert result.status == Status.RECEIVED
    assert result.next_attempt_at is not None


def test_a_file_that_cannot_be_read_is_tried_again_then_given_up(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = create_field(clinician, smear)
    media_path(diagnosis.image_name).unlink()
    assert run_field(diagnosis).status == Status.RECEIVED
    Diagnosis.objects.filter(pk=diagnosis.pk).update(attempts=ATTEMPTS_ALLOWED - 1)
    make_due(diagnosis)
    result = run_field(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "image_file_unreadable")


def test_a_damaged_file_is_given_up_at_once(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = create_field(clinician, smear)
    media_path(diagnosis.image_name).write_bytes(smear[:2000])
    result = run_field(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "image_file_damaged")


def test_a_fault_of_ours_is_logged_in_full_and_leaves_no_lease(
    clinician: User, smear: bytes, predictor: FakePredictor, caplog: pytest.LogCaptureFixture
) -> None:
    predictor.error = ZeroDivisionError("secret detail")
    result = run_field(create_field(clinician, smear))
    assert (result.status, result.lease_until, result.failure) == (Status.RECEIVED, None, "")
    assert "ZeroDivisionError" in caplog.text
    predictor.error = PredictorError("away", permanent=False)
    caplog.clear()
    run_field(create_field(clinician, smear_jpeg(2)))
    assert "Traceback" not in caplog.text


def test_a_field_that_kills_every_process_is_given_up(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    """Nobody lived to say so: the lease ran out each time."""
    diagnosis = create_field(clinician, smear)
    for _ in range(ATTEMPTS_ALLOWED):
        assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk)
        make_due(diagnosis)
    result = run_field(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "gave_up")
    assert predictor.calls == 0


def test_an_administrator_has_a_failed_field_tried_again(
    clinician: User, administrator: User, smear: bytes, predictor: FakePredictor
) -> None:
    predictor.error = PredictorError("wrong shape", permanent=True)
    diagnosis = run_field(create_field(clinician, smear))
    assert services.diagnosis_retry(actor=administrator, diagnosis=diagnosis)
    diagnosis.refresh_from_db()
    assert (diagnosis.status, diagnosis.failure, diagnosis.completed_at) == ("received", "", None)
    assert AuditEvent.objects.first().actor == administrator  # type: ignore[union-attr]
    predictor.error = PredictorError("away", permanent=False)
    with clock_at(asked := timezone.now()):
        result = run_field(diagnosis)
    assert result.status == Status.RECEIVED
    assert result.next_attempt_at is not None
    assert (result.next_attempt_at - asked).total_seconds() == 5
    predictor.error = None
    make_due(diagnosis)
    assert run_field(diagnosis).status == Status.SCREENED
    assert actions_of(diagnosis) == [
        "diagnosis.received",
        "diagnosis.failed",
        "diagnosis.received",
        "diagnosis.screened",
    ]


# --- Disk and database -------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_file_whose_row_could_not_be_written_is_taken_back(
    clinician: User, smear: bytes, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def full(**kwargs: object) -> None:
        raise OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("diagnosis.fields.intake.audit_record", full)
        with pytest.raises(OperationalError):
            create_field(clinician, smear)
    left = [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]
    assert (left, Diagnosis.objects.count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_another_row_refers_to_stays(
    clinician: User, smear: bytes, specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = create_field(clinician, smear)

    def full(**kwargs: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr("diagnosis.fields.intake.audit_record", full)
    with pytest.raises(OperationalError):
        services.diagnosis_create(actor=clinician, upload=smear, specimen=specimen)
    assert media_path(kept.image_name).is_file()


def test_without_room_nothing_is_begun(
    clinician: User, smear: bytes, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    full = SimpleNamespace(free=settings.MAX_UPLOAD_BYTES - 1)
    monkeypatch.setattr("diagnosis.storage.media.shutil.disk_usage", lambda folder: full)
    with pytest.raises(OSError, match="room") as error:
        create_field(clinician, smear)
    assert error.value.errno == errno.ENOSPC
    assert Diagnosis.objects.count() == 0
