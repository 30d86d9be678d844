from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from diagnosis.core.errors import ImageRefusedError, PredictorError
from diagnosis.core.state import ALLOWED, Headline, Status
from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.models import Diagnosis, ReadOnlyResultError
from diagnosis.storage.media import media_read
from patients.models import Specimen
from tests.diagnosis.killed.steps import actions_of, create_field, make_due, run_field, stored_files
from tests.diagnosis.made.pictures import (
    BENIGN,
    FakePredictor,
    make_contract,
    smear_jpeg,
)
from webapp.audit.models import AuditEvent
from webapp.domain_error import DomainError

pytestmark = pytest.mark.django_db


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
    assert media_read(diagnosis.image_name, diagnosis.image_sha256).startswith(b"\xff\xd8")
    assert diagnosis.image_sha256 in diagnosis.image_name
    assert actions_of(diagnosis) == ["diagnosis.received"]


def test_the_same_upload_on_the_same_specimen_is_one_diagnosis(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    first = create_field(clinician, smear, specimen)
    again, created = services.diagnosis_create(actor=clinician, upload=smear, specimen=specimen)
    assert (again, created) == (first, False)
    assert actions_of(first) == ["diagnosis.received"]


def test_the_same_upload_elsewhere_is_another_diagnosis_of_the_same_file(
    clinician: User, specimen: Specimen, other_specimen: Specimen, smear: bytes
) -> None:
    rows = [create_field(clinician, smear, place) for place in (specimen, other_specimen, None)]
    assert len({row.pk for row in rows}) == 3
    assert len({row.image_name for row in rows}) == 1
    assert len(stored_files()) == 1


def test_uploads_that_differ_in_metadata_only_share_a_file(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    first = create_field(clinician, smear, specimen)
    second = create_field(clinician, smear + b"trailing bytes", specimen)
    assert first.upload_sha256 != second.upload_sha256
    assert first.image_name == second.image_name


def test_what_is_no_image_leaves_nothing(clinician: User, smear: bytes) -> None:
    with pytest.raises(ImageRefusedError):
        services.diagnosis_create(actor=clinician, upload=smear[:-400])
    assert not Diagnosis.objects.exists()
    assert not AuditEvent.objects.exists()
    assert not stored_files()


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

    monkeypatch.setattr("diagnosis.storage.media.os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        services.diagnosis_create(actor=clinician, upload=smear)
    assert not Diagnosis.objects.exists()
    assert not stored_files()


# --- Running -----------------------------------------------------------------------------


def test_a_field_is_screened(clinician: User, smear: bytes, predictor: FakePredictor) -> None:
    diagnosis = run_field(create_field(clinician, smear))
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
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


def test_a_page_of_text_is_refused_and_kept(
    clinician: User, document: bytes, predictor: FakePredictor
) -> None:
    diagnosis = run_field(create_field(clinician, document))
    assert (diagnosis.status, diagnosis.outcome) == (Status.REFUSED, Headline.REJECTED)
    assert (diagnosis.predicted_class, diagnosis.confidence) == (None, None)
    assert (diagnosis.probabilities, diagnosis.ood_score) == (None, None)
    assert diagnosis.validation["accepted"] is False
    failed = [check for check in diagnosis.validation["checks"] if not check["passed"]]
    assert failed
    assert all(check["score"] < check["threshold"] and check["fix"] for check in failed)
    assert diagnosis.model_version == predictor.contract.version
    assert predictor.calls == 0
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.refused"]


def test_running_again_changes_nothing(
    clinician: User, smear: bytes, document: bytes, predictor: FakePredictor
) -> None:
    for upload in (smear, document):
        first = run_field(create_field(clinician, upload))
        before = Diagnosis.objects.filter(pk=first.pk).values().get()
        predictor.probabilities = BENIGN
        run_field(first)
        assert Diagnosis.objects.filter(pk=first.pk).values().get() == before
        assert len(actions_of(first)) == 2


def test_no_transaction_is_open_while_the_model_thinks(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    outside = len(connection.savepoint_ids)
    inside: list[int] = []
    predictor.during = lambda: inside.append(len(connection.savepoint_ids))
    run_field(create_field(clinician, smear))
    assert inside == [outside]


# --- Lease and fence ---------------------------------------------------------------------


def test_a_leased_field_is_left_alone(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = create_field(clinician, smear)
    assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk) == 1
    assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk) is None
    assert run_field(diagnosis).status == Status.RECEIVED
    assert predictor.calls == 0


def test_a_lease_runs_out(clinician: User, smear: bytes, predictor: FakePredictor) -> None:
    diagnosis = create_field(clinician, smear)
    now = timezone.now()
    screening.diagnosis_lease(diagnosis_id=diagnosis.pk, now=now)
    just_before = now + screening.LEASE - timedelta(seconds=1)
    assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk, now=just_before) is None
    assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk, now=now + screening.LEASE) == 2


def test_a_finished_field_cannot_be_leased(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = run_field(create_field(clinician, smear))
    assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk) is None


def test_a_worker_that_comes_too_late_writes_nothing(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    """Its lease ran out while the model thought, and another finished the field."""
    diagnosis = create_field(clinician, smear)

    def another_worker() -> None:
        predictor.during = lambda: None
        predictor.probabilities = BENIGN
        make_due(diagnosis)
        assert run_field(diagnosis).outcome == Headline.NOT_SUSPICIOUS
        predictor.probabilities = (0.0, 0.0, 0.0, 1.0)

    predictor.during = another_worker
    result = run_field(diagnosis)
    assert result.outcome == Headline.NOT_SUSPICIOUS
    assert result.predicted_class == "Benign"
    assert result.attempts == 2
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


@pytest.mark.parametrize("permanent", [True, False])
def test_a_late_failure_does_not_touch_the_lease_of_the_next(
    clinician: User, smear: bytes, predictor: FakePredictor, permanent: bool
) -> None:
    diagnosis = create_field(clinician, smear)

    def lose_the_lease() -> None:
        make_due(diagnosis)
        assert screening.diagnosis_lease(diagnosis_id=diagnosis.pk) == 2

    predictor.during = lose_the_lease
    predictor.error = PredictorError("gone", permanent=permanent)
    result = run_field(diagnosis)
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
    diagnosis = create_field(clinician, smear)
    diagnosis.status = current.value
    with pytest.raises(ReadOnlyResultError, match="does not become"):
        screening.diagnosis_transition(diagnosis=diagnosis, attempt=0, to=to)
    assert actions_of(diagnosis) == ["diagnosis.received"]


def test_a_transition_and_its_event_are_written_together_or_not_at_all(
    clinician: User, smear: bytes, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosis = create_field(clinician, smear)

    def fail(**kwargs: Any) -> None:
        raise RuntimeError("no event")

    with monkeypatch.context() as patch:
        patch.setattr(screening, "audit_record", fail)
        with pytest.raises(RuntimeError, match="no event"):
            run_field(diagnosis)
    diagnosis.refresh_from_db()
    assert (diagnosis.status, diagnosis.outcome) == (Status.RECEIVED, None)
    make_due(diagnosis)
    assert run_field(diagnosis).status == Status.SCREENED
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.screened"]


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
    columns = Diagnosis.objects.filter(pk=create_field(clinician, smear).pk).values().get()
    del columns["id"]
    with pytest.raises(IntegrityError), transaction.atomic():
        Diagnosis.objects.create(**{**columns, "intake_key": "another", **values})


# --- Read-only for ever ------------------------------------------------------------------


def test_a_stored_result_cannot_be_changed_or_deleted(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    diagnosis = run_field(create_field(clinician, smear))
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
    diagnosis = run_field(create_field(clinician, smear))
    rows = Diagnosis.objects.filter(pk=diagnosis.pk)
    assert not rows.move(Status.RECEIVED, Status.FAILED, outcome=None, failure="gave_up")
    assert rows.get().status == Status.SCREENED


def test_a_specimen_with_fields_and_a_user_who_sent_one_cannot_be_deleted(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    create_field(clinician, smear, specimen)
    for row in (specimen, specimen.patient, clinician):
        with pytest.raises(IntegrityError), transaction.atomic():
            row.delete()


# --- Assigning ---------------------------------------------------------------------------


def test_an_unassigned_field_is_assigned_once(
    clinician: User, specimen: Specimen, other_specimen: Specimen, smear: bytes
) -> None:
    diagnosis = create_field(clinician, smear)
    services.diagnosis_assign(actor=clinician, diagnosis=diagnosis, specimen=specimen)
    assert diagnosis.specimen == specimen
    assert actions_of(diagnosis) == ["diagnosis.received", "diagnosis.assigned"]
    with pytest.raises(DomainError, match="already assigned"):
        services.diagnosis_assign(actor=clinician, diagnosis=diagnosis, specimen=other_specimen)
    again, created = services.diagnosis_create(actor=clinician, upload=smear, specimen=specimen)
    assert (again, created) == (diagnosis, False)
    assert create_field(clinician, smear) != diagnosis


def test_a_specimen_does_not_get_the_same_upload_twice(
    clinician: User, specimen: Specimen, smear: bytes
) -> None:
    existing = create_field(clinician, smear, specimen)
    unassigned = create_field(clinician, smear)
    with pytest.raises(services.AlreadyHeldError) as caught:
        services.diagnosis_assign(actor=clinician, diagnosis=unassigned, specimen=specimen)
    assert caught.value.existing == existing
    unassigned.refresh_from_db()
    assert unassigned.specimen is None
    assert actions_of(unassigned) == ["diagnosis.received"]


# --- Promotion ---------------------------------------------------------------------------


def test_the_answer_names_the_version_that_gave_it(
    clinician: User, smear: bytes, predictor: FakePredictor
) -> None:
    first = run_field(create_field(clinician, smear))
    predictor.contract = make_contract(version=8, digest="8" * 64)
    second = run_field(create_field(clinician, smear_jpeg(2)))
    assert (first.model_version, second.model_version) == (7, 8)
    assert second.model_digest == "8" * 64
