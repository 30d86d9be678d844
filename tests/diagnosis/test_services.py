from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from diagnosis import services
from diagnosis.errors import ContractError, ImageRefused, PredictorError
from diagnosis.media import media_path, media_read
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis, ReadOnlyResultError
from diagnosis.state import ALLOWED, Headline, Status
from patients.models import Specimen
from tests.diagnosis.support import (
    BENIGN,
    FakePredictor,
    make_contract,
    smear_jpeg,
)
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


def _create(actor: User, upload: bytes, specimen: Specimen | None = None) -> Diagnosis:
    diagnosis, created = services.diagnosis_create(actor=actor, upload=upload, specimen=specimen)
    assert created
    return diagnosis


def _run(diagnosis: Diagnosis) -> Diagnosis:
    return services.diagnosis_run(diagnosis_id=diagnosis.pk)


def _actions(diagnosis: Diagnosis) -> list[str]:
    events = AuditEvent.objects.filter(target_type="diagnosis.diagnosis", target_id=diagnosis.pk)
    return list(events.order_by("pk").values_list("action", flat=True))


def _due_now(diagnosis: Diagnosis) -> None:
    """As if the backoff or the lease had run out."""
    past = timezone.now() - timedelta(seconds=1)
    rows = Diagnosis.objects.filter(pk=diagnosis.pk)
    rows.exclude(next_attempt_at=None).update(next_attempt_at=past)
    rows.exclude(lease_until=None).update(lease_until=past)


def _files() -> list[Path]:
    root = media_path("fields")
    return [path for path in root.rglob("*") if path.is_file()]


# --- Storing -----------------------------------------------------------------------------


def test_a_field_is_stored_with_its_file_and_its_event(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    diagnosis, created = services.diagnosis_create(
        actor=clinician, upload=smear, file_name="a" * 300, specimen=specimen
    )
    assert created
    diagnosis.refresh_from_db()
    assert (diagnosis.status, diagnosis.outcome, diagnosis.specimen) == ("received", None, specimen)
    assert (diagnosis.width, diagnosis.height, diagnosis.media_type) == (320, 240, "image/jpeg")
    assert diagnosis.created_by == clinician
    assert diagnosis.file_name == "a" * 255
    assert media_read(diagnosis.image_name).startswith(b"\xff\xd8")
    assert diagnosis.image_sha256 in diagnosis.image_name
    assert _actions(diagnosis) == ["diagnosis.received"]


def test_the_same_upload_on_the_same_specimen_is_one_diagnosis(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    first = _create(clinician, smear, specimen)
    again, created = services.diagnosis_create(actor=clinician, upload=smear, specimen=specimen)
    assert (again, created) == (first, False)
    assert _actions(first) == ["diagnosis.received"]


def test_the_same_upload_elsewhere_is_another_diagnosis_of_the_same_file(
    clinician: User, specimen: Specimen, other_specimen: Specimen, smear: bytes
) -> None:
    rows = [_create(clinician, smear, place) for place in (specimen, other_specimen, None)]
    assert len({row.pk for row in rows}) == 3
    assert len({row.image_name for row in rows}) == 1
    assert len(_files()) == 1


def test_uploads_that_differ_in_metadata_only_share_a_file(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    first = _create(clinician, smear, specimen)
    second = _create(clinician, smear + b"trailing bytes", specimen)
    assert first.upload_sha256 != second.upload_sha256
    assert first.image_name == second.image_name


def test_what_is_no_image_leaves_nothing(clinician: User, smear: bytes) -> None:
    with pytest.raises(ImageRefused):
        services.diagnosis_create(actor=clinician, upload=smear[:-400])
    assert not Diagnosis.objects.exists()
    assert not AuditEvent.objects.exists()
    assert not _files()


def test_row_and_event_are_stored_together_or_not_at_all(
    clinician: User, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("no event")

    monkeypatch.setattr(services, "audit_record", fail)
    with pytest.raises(RuntimeError, match="no event"):
        services.diagnosis_create(actor=clinician, upload=smear)
    assert not Diagnosis.objects.exists()


def test_a_full_disk_stores_no_row(
    clinician: User, smear: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diagnosis.media.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        services.diagnosis_create(actor=clinician, upload=smear)
    assert not Diagnosis.objects.exists()
    assert not _files()


# --- Running -----------------------------------------------------------------------------


def test_a_field_is_screened(clinician: User, smear: bytes, predictor: FakePredictor) -> None:
    diagnosis = _run(_create(clinician, smear))
    assert diagnosis.status == Status.SCREENED
    assert diagnosis.outcome == Headline.SUSPICIOUS
    assert diagnosis.predicted_class == "Malignant Pre-B"
    assert diagnosis.confidence == 0.8
    assert diagnosis.probabilities == {
        "Benign": 0.05,
        "Malignant Early Pre-B": 0.1,
        "Malignant Pre-B": 0.8,
        "Malignant Pro-B": 0.05,
    }
    assert diagnosis.ood_score == 0.0
    assert diagnosis.validation["accepted"] is True
    contract = predictor.contract
    assert diagnosis.model_name == contract.name
    assert diagnosis.model_version == contract.version
    assert diagnosis.model_digest == contract.digest
    assert diagnosis.model_architecture == contract.architecture
    assert diagnosis.completed_at is not None
    assert (diagnosis.attempts, diagnosis.lease_until) == (1, None)
    assert _actions(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


def test_a_page_of_text_is_refused_and_kept(
    clinician: User, document: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _run(_create(clinician, document))
    assert (diagnosis.status, diagnosis.outcome) == (Status.REFUSED, Headline.REJECTED)
    assert (diagnosis.predicted_class, diagnosis.confidence) == (None, None)
    assert (diagnosis.probabilities, diagnosis.ood_score) == (None, None)
    assert diagnosis.validation["accepted"] is False
    failed = [check for check in diagnosis.validation["checks"] if not check["passed"]]
    assert failed
    assert all(check["score"] < check["threshold"] and check["fix"] for check in failed)
    assert diagnosis.model_version == predictor.contract.version
    assert predictor.calls == 0
    assert _actions(diagnosis) == ["diagnosis.received", "diagnosis.refused"]


def test_running_again_changes_nothing(
    clinician: User, smear: bytes, document: bytes, predictor: FakePredictor
) -> None:
    for upload in (smear, document):
        first = _run(_create(clinician, upload))
        before = Diagnosis.objects.filter(pk=first.pk).values().get()
        predictor.probabilities = BENIGN
        _run(first)
        assert Diagnosis.objects.filter(pk=first.pk).values().get() == before
        assert len(_actions(first)) == 2


def test_no_transaction_is_open_while_the_model_thinks(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    outside = len(connection.savepoint_ids)
    inside: list[int] = []
    predictor.during = lambda: inside.append(len(connection.savepoint_ids))
    _run(_create(clinician, smear))
    assert inside == [outside]


# --- Lease and fence ---------------------------------------------------------------------


def test_a_leased_field_is_left_alone(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _create(clinician, smear)
    assert services.diagnosis_lease(diagnosis_id=diagnosis.pk) == 1
    assert services.diagnosis_lease(diagnosis_id=diagnosis.pk) is None
    assert _run(diagnosis).status == Status.RECEIVED
    assert predictor.calls == 0


def test_a_lease_runs_out(clinician: User, smear: bytes, predictor: FakePredictor) -> None:
    diagnosis = _create(clinician, smear)
    now = timezone.now()
    services.diagnosis_lease(diagnosis_id=diagnosis.pk, now=now)
    just_before = now + services.LEASE - timedelta(seconds=1)
    assert services.diagnosis_lease(diagnosis_id=diagnosis.pk, now=just_before) is None
    assert services.diagnosis_lease(diagnosis_id=diagnosis.pk, now=now + services.LEASE) == 2


def test_a_finished_field_cannot_be_leased(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _run(_create(clinician, smear))
    assert services.diagnosis_lease(diagnosis_id=diagnosis.pk) is None


def test_a_worker_that_comes_too_late_writes_nothing(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    """Its lease ran out while the model thought, and another finished the field."""
    diagnosis = _create(clinician, smear)

    def another_worker() -> None:
        predictor.during = lambda: None
        predictor.probabilities = BENIGN
        _due_now(diagnosis)
        assert _run(diagnosis).outcome == Headline.NOT_SUSPICIOUS
        predictor.probabilities = (0.0, 0.0, 0.0, 1.0)

    predictor.during = another_worker
    result = _run(diagnosis)
    assert result.outcome == Headline.NOT_SUSPICIOUS
    assert result.predicted_class == "Benign"
    assert result.attempts == 2
    assert _actions(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


@pytest.mark.parametrize("permanent", [True, False])
def test_a_late_failure_does_not_touch_the_lease_of_the_next(
    clinician: User, smear: bytes, predictor: FakePredictor, permanent: bool
) -> None:
    diagnosis = _create(clinician, smear)

    def lose_the_lease() -> None:
        _due_now(diagnosis)
        assert services.diagnosis_lease(diagnosis_id=diagnosis.pk) == 2

    predictor.during = lose_the_lease
    predictor.error = PredictorError("gone", permanent=permanent)
    result = _run(diagnosis)
    assert result.status == Status.RECEIVED
    assert result.lease_until is not None
    assert result.next_attempt_at is None


# --- Transitions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "to"),
    [(current, to) for current in Status for to in Status if to not in ALLOWED[current]],
)
def test_only_the_allowed_transitions_exist(
    clinician: User, smear: bytes, predictor: FakePredictor, current: Status, to: Status
) -> None:
    diagnosis = _create(clinician, smear)
    diagnosis.status = current.value
    with pytest.raises(ReadOnlyResultError, match="does not become"):
        services.diagnosis_transition(diagnosis=diagnosis, attempt=0, to=to)
    assert _actions(diagnosis) == ["diagnosis.received"]


def test_a_transition_and_its_event_are_written_together_or_not_at_all(
    clinician: User, smear: bytes, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosis = _create(clinician, smear)

    def fail(**kwargs: Any) -> None:
        raise RuntimeError("no event")

    with monkeypatch.context() as patch:
        patch.setattr(services, "audit_record", fail)
        with pytest.raises(RuntimeError, match="no event"):
            _run(diagnosis)
    diagnosis.refresh_from_db()
    assert (diagnosis.status, diagnosis.outcome) == (Status.RECEIVED, None)
    _due_now(diagnosis)
    assert _run(diagnosis).status == Status.SCREENED
    assert _actions(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


@pytest.mark.parametrize(
    "values",
    [
        {"status": "screened"},
        {"status": "refused", "outcome": "rejected"},
        {"status": "received", "outcome": "suspicious"},
        {"status": "failed", "confidence": 0.5},
        {"status": "diagnosed"},
    ],
)
def test_the_database_refuses_a_result_that_does_not_fit_its_status(
    clinician: User, smear: bytes, values: dict[str, Any]
) -> None:
    columns = Diagnosis.objects.filter(pk=_create(clinician, smear).pk).values().get()
    del columns["id"]
    with pytest.raises(IntegrityError), transaction.atomic():
        Diagnosis.objects.create(**{**columns, "intake_key": "another", **values})


# --- Read-only for ever ------------------------------------------------------------------


def test_a_stored_result_cannot_be_changed_or_deleted(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _run(_create(clinician, smear))
    rows = Diagnosis.objects.filter(pk=diagnosis.pk)
    before = rows.values().get()
    diagnosis.outcome = Headline.NOT_SUSPICIOUS.value
    attempts: list[Callable[[], object]] = [
        diagnosis.save,
        lambda: diagnosis.save(update_fields=["outcome"]),
        diagnosis.delete,
        rows.delete,
        lambda: rows.update(outcome="not_suspicious"),
        lambda: rows.update(status="received"),
        lambda: rows.update(image_sha256="0" * 64),
        lambda: Diagnosis.objects.bulk_update([diagnosis], ["outcome"]),
        lambda: Diagnosis.objects.bulk_create(
            [diagnosis], update_conflicts=True, update_fields=["outcome"], unique_fields=["id"]
        ),
        lambda: Diagnosis.objects.update_or_create(pk=diagnosis.pk, defaults={"confidence": 0.1}),
        lambda: rows.move(Status.SCREENED, Status.RECEIVED),
        lambda: rows.move(Status.SCREENED, Status.SCREENED, outcome="not_suspicious"),
    ]
    for attempt in attempts:
        with pytest.raises(ReadOnlyResultError), transaction.atomic():
            attempt()
    assert rows.values().get() == before


def test_only_a_row_that_still_has_the_status_moves(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _run(_create(clinician, smear))
    rows = Diagnosis.objects.filter(pk=diagnosis.pk)
    assert not rows.move(Status.RECEIVED, Status.FAILED, outcome=None, failure="gave_up")
    assert rows.get().status == Status.SCREENED


def test_a_specimen_with_fields_and_a_user_who_sent_one_cannot_be_deleted(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    _create(clinician, smear, specimen)
    for row in (specimen, specimen.patient, clinician):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.delete()


# --- Failing, waiting, giving up ---------------------------------------------------------


def test_a_model_that_is_away_is_asked_again_with_growing_pauses(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _create(clinician, smear)
    predictor.error = PredictorError("connection refused", permanent=False)
    pauses = []
    for attempt in range(1, ATTEMPTS_ALLOWED):
        asked = timezone.now()
        result = _run(diagnosis)
        assert (result.status, result.attempts) == (Status.RECEIVED, attempt)
        assert result.lease_until is None
        assert result.next_attempt_at is not None
        pauses.append((result.next_attempt_at - asked).total_seconds())
        assert _run(diagnosis).attempts == attempt, "not before its time"
        _due_now(diagnosis)
    assert pauses == pytest.approx([5, 10, 20, 40, 80, 160, 300], abs=2)
    result = _run(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "model_unavailable")
    assert (result.outcome, result.next_attempt_at) == (None, None)
    assert predictor.calls == ATTEMPTS_ALLOWED
    assert _actions(diagnosis) == ["diagnosis.received", "diagnosis.failed"]


def test_a_model_that_comes_back_finishes_what_waited(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _create(clinician, smear)
    predictor.error = PredictorError("connection refused", permanent=False)
    _run(diagnosis)
    predictor.error = None
    _due_now(diagnosis)
    assert _run(diagnosis).status == Status.SCREENED


def test_a_permanent_error_is_not_tried_again(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    predictor.error = PredictorError("wrong shape", permanent=True)
    result = _run(_create(clinician, smear))
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

    monkeypatch.setattr(services, "stable_predictor", none_live)
    result = _run(_create(clinician, smear))
    assert result.status == Status.RECEIVED
    assert result.next_attempt_at is not None


def test_a_file_that_cannot_be_read_is_tried_again_then_given_up(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _create(clinician, smear)
    media_path(diagnosis.image_name).unlink()
    assert _run(diagnosis).status == Status.RECEIVED
    Diagnosis.objects.filter(pk=diagnosis.pk).update(attempts=ATTEMPTS_ALLOWED - 1)
    _due_now(diagnosis)
    result = _run(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "image_file_unreadable")


def test_a_damaged_file_is_given_up_at_once(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = _create(clinician, smear)
    media_path(diagnosis.image_name).write_bytes(smear[:2000])
    result = _run(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "damaged_image")


def test_a_fault_of_ours_is_logged_in_full_and_leaves_no_lease(
    clinician: User, smear: bytes, predictor: FakePredictor, caplog: pytest.LogCaptureFixture
) -> None:
    predictor.error = ZeroDivisionError("secret detail")
    result = _run(_create(clinician, smear))
    assert (result.status, result.lease_until, result.failure) == (Status.RECEIVED, None, "")
    assert "ZeroDivisionError" in caplog.text
    predictor.error = PredictorError("away", permanent=False)
    caplog.clear()
    _run(_create(clinician, smear_jpeg(2)))
    assert "Traceback" not in caplog.text


def test_a_field_that_kills_every_process_is_given_up(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    """Nobody lived to say so: the lease ran out each time."""
    diagnosis = _create(clinician, smear)
    for _ in range(ATTEMPTS_ALLOWED):
        assert services.diagnosis_lease(diagnosis_id=diagnosis.pk)
        _due_now(diagnosis)
    result = _run(diagnosis)
    assert (result.status, result.failure) == (Status.FAILED, "gave_up")
    assert predictor.calls == 0


def test_an_administrator_has_a_failed_field_tried_again(
    clinician: User, administrator: User, smear: bytes, predictor: FakePredictor
) -> None:
    predictor.error = PredictorError("wrong shape", permanent=True)
    diagnosis = _run(_create(clinician, smear))
    assert services.diagnosis_retry(actor=administrator, diagnosis=diagnosis)
    diagnosis.refresh_from_db()
    assert (diagnosis.status, diagnosis.failure, diagnosis.completed_at) == ("received", "", None)
    assert AuditEvent.objects.first().actor == administrator  # type: ignore[union-attr]
    predictor.error = PredictorError("away", permanent=False)
    asked = timezone.now()
    result = _run(diagnosis)
    assert result.status == Status.RECEIVED
    assert (result.next_attempt_at - asked).total_seconds() == pytest.approx(5, abs=2)
    predictor.error = None
    _due_now(diagnosis)
    assert _run(diagnosis).status == Status.SCREENED
    assert _actions(diagnosis) == [
        "diagnosis.received",
        "diagnosis.failed",
        "diagnosis.received",
        "diagnosis.screened",
    ]


# --- Assigning ---------------------------------------------------------------------------


def test_an_unassigned_field_is_assigned_once(
    clinician: User, specimen: Specimen, other_specimen: Specimen, smear: bytes
) -> None:
    diagnosis = _create(clinician, smear)
    services.diagnosis_assign(actor=clinician, diagnosis=diagnosis, specimen=specimen)
    assert diagnosis.specimen == specimen
    assert _actions(diagnosis) == ["diagnosis.received", "diagnosis.assigned"]
    with pytest.raises(ValueError, match="already assigned"):
        services.diagnosis_assign(actor=clinician, diagnosis=diagnosis, specimen=other_specimen)
    again, created = services.diagnosis_create(actor=clinician, upload=smear, specimen=specimen)
    assert (again, created) == (diagnosis, False)
    assert _create(clinician, smear) != diagnosis


def test_a_specimen_does_not_get_the_same_upload_twice(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    existing = _create(clinician, smear, specimen)
    unassigned = _create(clinician, smear)
    with pytest.raises(services.AlreadyThere) as caught:
        services.diagnosis_assign(actor=clinician, diagnosis=unassigned, specimen=specimen)
    assert caught.value.existing == existing
    unassigned.refresh_from_db()
    assert unassigned.specimen is None
    assert _actions(unassigned) == ["diagnosis.received"]


# --- Promotion ---------------------------------------------------------------------------


def test_the_answer_names_the_version_that_gave_it(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    first = _run(_create(clinician, smear))
    predictor.contract = make_contract(version=8, digest="8" * 64)
    second = _run(_create(clinician, smear_jpeg(2)))
    assert (first.model_version, second.model_version) == (7, 8)
    assert second.model_digest == "8" * 64
