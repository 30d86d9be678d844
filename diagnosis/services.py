"""Everything that changes a diagnosis. HTTP, admin, worker and commands all come through here."""

import hashlib
import logging
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from diagnosis import observed, pipeline
from diagnosis.errors import ContractError, ImageRefused, PredictorError
from diagnosis.imaging.contract import ModelContract
from diagnosis.imaging.decode import to_stored
from diagnosis.imaging.validate import ValidationReport
from diagnosis.media import media_read, media_write
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis
from diagnosis.predictor import stable_predictor
from diagnosis.state import Status
from patients.models import Specimen
from webapp.audit.services import audit_record

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)  # far above the slowest screening of one field
BACKOFF_BASE_S = 5.0
BACKOFF_MAX_S = 300.0


class AlreadyThere(Exception):
    """The specimen already holds this very upload.

    Attributes:
        existing: the diagnosis that holds it.
    """

    def __init__(self, existing: Diagnosis) -> None:
        super().__init__("This image is already in that specimen's record.")
        self.existing = existing


def diagnosis_create(
    *, actor: AbstractBaseUser, upload: bytes, file_name: str = "", specimen: Specimen | None = None
) -> tuple[Diagnosis, bool]:
    """Store an uploaded field as ``received``; gives the row and whether it is new.

    The file is complete on disk before the row is committed: a cut in between leaves a stray
    file, which ``clean_media`` finds, and never a row without its file.

    Raises:
        ImageRefused: the upload is not an image that can be read. Nothing is kept.
    """
    upload_sha256 = hashlib.sha256(upload).hexdigest()
    key = _intake_key(specimen, upload_sha256)
    if existing := Diagnosis.objects.filter(intake_key=key).first():
        return existing, False
    stored = to_stored(upload)
    image_name, image_sha256 = media_write(stored)
    diagnosis = Diagnosis(
        specimen=specimen,
        intake_key=key,
        file_name=file_name[:255],
        upload_sha256=upload_sha256,
        image_sha256=image_sha256,
        image_name=image_name,
        media_type=stored.media_type,
        width=stored.width,
        height=stored.height,
        created_by=actor,  # type: ignore[misc]
    )
    try:
        with transaction.atomic():
            diagnosis.save()
            audit_record(
                actor=actor,
                action="diagnosis.received",
                target=diagnosis,
                detail={"image_sha256": image_sha256},
            )
    except IntegrityError:
        if existing := Diagnosis.objects.filter(intake_key=key).first():
            return existing, False  # the same upload won the race
        raise
    # `clean_media` may have removed a stray of the same content just before the commit.
    media_write(stored)
    return diagnosis, True


def diagnosis_run(*, diagnosis_id: int) -> Diagnosis:
    """Screen a ``received`` diagnosis if nobody else does; gives the row as it then is.

    Holds no transaction while the model is called. Safe to call any number of times, from
    any number of processes: the lease lets one work, and the result is written only if that
    lease is still the latest.
    """
    attempt = diagnosis_lease(diagnosis_id=diagnosis_id)
    rows = Diagnosis.objects.select_related("specimen__patient")
    diagnosis = rows.get(pk=diagnosis_id)
    if attempt is None:
        return diagnosis
    if attempt > diagnosis.attempts_max:  # every attempt so far died with its process
        diagnosis_fail(diagnosis=diagnosis, attempt=attempt, failure="gave_up")
        diagnosis.refresh_from_db(from_queryset=rows)
        return diagnosis
    try:
        predictor = stable_predictor()
        data = media_read(diagnosis.image_name)
        outcome = observed.screen(data, predictor, diagnosis_id=diagnosis.pk)
    except Exception as error:  # whatever it was, the row must not hang on a dead lease
        _attempt_failed(diagnosis, attempt, error)
    else:
        diagnosis_transition(
            diagnosis=diagnosis,
            attempt=attempt,
            to=Status.SCREENED if outcome.prediction else Status.REFUSED,
            **_result_fields(outcome, predictor.contract),
        )
    diagnosis.refresh_from_db(from_queryset=rows)
    return diagnosis


def diagnosis_lease(*, diagnosis_id: int, now: datetime | None = None) -> int | None:
    """Take the lease of a ``received`` diagnosis by compare-and-set.

    Returns:
        The attempt's number, which fences the result; ``None`` if the diagnosis is finished,
        leased by somebody, or not due yet.
    """
    now = now or timezone.now()
    due = Diagnosis.objects.filter(
        Q(lease_until=None) | Q(lease_until__lte=now),
        Q(next_attempt_at=None) | Q(next_attempt_at__lte=now),
        pk=diagnosis_id,
        status=Status.RECEIVED,
    )
    attempts = due.values_list("attempts", flat=True).first()
    if attempts is None:
        return None
    won = due.filter(attempts=attempts).update(lease_until=now + LEASE, attempts=F("attempts") + 1)
    return attempts + 1 if won else None


def diagnosis_transition(
    *,
    diagnosis: Diagnosis,
    attempt: int,
    to: Status,
    actor: AbstractBaseUser | None = None,
    **fields: Any,
) -> bool:
    """Move a diagnosis to ``to`` with its audit event, both or neither.

    Returns:
        Whether it moved: not if a later attempt took over, or the row was no longer there
        to be moved from the status that ``diagnosis`` was read with.
    """
    current = Status(diagnosis.status)
    with transaction.atomic():
        moved = Diagnosis.objects.filter(pk=diagnosis.pk, attempts=attempt).move(
            current, to, lease_until=None, next_attempt_at=None, **fields
        )
        if moved:
            audit_record(
                actor=actor,
                action=f"diagnosis.{to.value}",
                target=diagnosis,
                detail={"from": current.value, "attempt": attempt},
            )
    if moved:
        observed.result_count(to, fields)
    return moved


def diagnosis_fail(*, diagnosis: Diagnosis, attempt: int, failure: str) -> bool:
    """Give a diagnosis up; ``failure`` is a code, e.g. ``model_unavailable``."""
    return diagnosis_transition(
        diagnosis=diagnosis,
        attempt=attempt,
        to=Status.FAILED,
        failure=failure,
        completed_at=timezone.now(),
    )


def diagnosis_retry(*, actor: AbstractBaseUser, diagnosis: Diagnosis) -> bool:
    """Put a ``failed`` diagnosis back in the queue, with as many attempts again."""
    return diagnosis_transition(
        diagnosis=diagnosis,
        attempt=diagnosis.attempts,
        to=Status.RECEIVED,
        actor=actor,
        attempts_max=F("attempts") + ATTEMPTS_ALLOWED,
        failure="",
        completed_at=None,
    )


def diagnosis_assign(*, actor: AbstractBaseUser, diagnosis: Diagnosis, specimen: Specimen) -> None:
    """Give an unassigned field its specimen.

    Raises:
        AlreadyThere: the specimen already holds the same upload.
        ValueError: the field is assigned already.
    """
    key = _intake_key(specimen, diagnosis.upload_sha256)
    try:
        with transaction.atomic():
            changed = Diagnosis.objects.filter(pk=diagnosis.pk, specimen=None).update(
                specimen=specimen, intake_key=key
            )
            if not changed:
                raise ValueError("The field is already assigned to a specimen.")
            audit_record(
                actor=actor,
                action="diagnosis.assigned",
                target=diagnosis,
                detail={"specimen_id": specimen.pk},
            )
    except IntegrityError as error:
        raise AlreadyThere(Diagnosis.objects.get(intake_key=key)) from error
    diagnosis.refresh_from_db()


def _intake_key(specimen: Specimen | None, upload_sha256: str) -> str:
    return f"{specimen.pk if specimen else 0}:{upload_sha256}"


def _attempt_failed(diagnosis: Diagnosis, attempt: int, error: Exception) -> None:
    """Postpone the diagnosis with backoff, or give it up."""
    expected = isinstance(error, (PredictorError, ContractError, ImageRefused, OSError))
    logger.warning(
        "Diagnosis %s, attempt %s: %s", diagnosis.pk, attempt, error, exc_info=not expected
    )
    permanent = isinstance(error, ImageRefused) or getattr(error, "permanent", False)
    if permanent or attempt >= diagnosis.attempts_max:
        diagnosis_fail(diagnosis=diagnosis, attempt=attempt, failure=_failure_code(error))
        return
    nth = attempt - (diagnosis.attempts_max - ATTEMPTS_ALLOWED)
    delay = timedelta(seconds=min(BACKOFF_BASE_S * 2 ** (nth - 1), BACKOFF_MAX_S))
    Diagnosis.objects.filter(pk=diagnosis.pk, attempts=attempt, status=Status.RECEIVED).update(
        lease_until=None, next_attempt_at=timezone.now() + delay
    )


def _failure_code(error: Exception) -> str:
    """Which part failed, without anything of the message."""
    if isinstance(error, ImageRefused):
        return error.code
    if isinstance(error, PredictorError | ContractError):
        return "model_unavailable"
    return "image_file_unreadable" if isinstance(error, OSError) else "internal_error"


def _result_fields(outcome: pipeline.Outcome, contract: ModelContract) -> dict[str, Any]:
    """The columns of one outcome."""
    prediction = outcome.prediction
    return {
        "outcome": outcome.headline.value,
        "predicted_class": outcome.predicted_class,
        "confidence": outcome.confidence,
        "probabilities": dict(zip(contract.labels, prediction.probabilities, strict=True))
        if prediction
        else None,
        "ood_score": prediction.ood_score if prediction else None,
        "validation": _validation_document(outcome.validation),
        "model_name": contract.name,
        "model_version": contract.version,
        "model_digest": contract.digest,
        "model_architecture": contract.architecture,
        "completed_at": timezone.now(),
    }


def _validation_document(report: ValidationReport) -> dict[str, Any]:
    """The report as the API shows it and the row keeps it."""
    return {
        "accepted": report.accepted,
        "score": report.score,
        "threshold": report.threshold,
        "checks": [
            {
                "name": check.name,
                "score": check.score,
                "threshold": check.threshold,
                "passed": check.passed,
                "fix": check.fix,
            }
            for check in report.checks
        ],
    }
