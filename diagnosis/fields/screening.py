"""Screens what was received: lease, read, ask the model, write the result.

No transaction is held while the model is called. Everything here may be called any number of
times from any number of processes: the lease lets one work on a row, and a result is written only
if that lease is still the latest.
"""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from diagnosis.cases.services import case_refresh
from diagnosis.core import pipeline
from diagnosis.core.errors import (
    ContractError,
    DecodersBusyError,
    ImageRefusedError,
    ModelUnavailableError,
    PredictorError,
)
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.validate import ValidationReport
from diagnosis.core.predictors.base import Predictor
from diagnosis.core.state import Status
from diagnosis.fields import instrumentation as observed
from diagnosis.fields.live_model import predictor_for, stable_predictor
from diagnosis.fields.selectors import diagnoses_due
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis
from diagnosis.storage.images import image_read
from diagnosis.storage.media import MediaDamagedError
from webapp.audit.services import audit_record
from webapp.telemetry.tracing import span
from webapp.unavailable import trouble_of

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)  # far above the slowest screening of a batch
BACKOFF_BASE_S = 5.0
BACKOFF_MAX_S = 300.0
WAIT_S = 5.0  # until the next look for a model that is away or busy, or for busy decoders
BATCH = 16  # fields that are screened together


@dataclass(frozen=True, eq=False)
class _Leased:
    """A diagnosis that is this process's to work on, and the attempt that fences its result."""

    diagnosis: Diagnosis
    attempt: int


def diagnosis_run(*, diagnosis_id: int) -> Diagnosis:
    """Screen a ``received`` diagnosis if nobody else does; gives the row as it then is.

    It is kept already: a database that is locked or goes away meanwhile leaves it waiting, for
    the sweep.
    """
    try:
        _screen(_lease([diagnosis_id]))
    except DatabaseError as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        logger.warning("Diagnosis %s waits: %s", diagnosis_id, trouble.code)
    return Diagnosis.objects.select_related("specimen__patient").get(pk=diagnosis_id)


def diagnoses_run_due(*, limit: int = BATCH) -> int:
    """Screen up to ``limit`` of the diagnoses whose time has come, together.

    Returns:
        How many were taken up; 0 also while the model is away: what waits is not touched then.
    """
    try:
        if not stable_predictor().is_ready():
            return 0
    except ContractError:
        return 0
    due = diagnoses_due(4 * limit)
    random.shuffle(due)  # several workers look at the same moment; each finds rows of its own
    leased = _lease(due, limit)
    _screen(leased)
    return len(leased)


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
            if diagnosis.specimen_id is not None:
                case_refresh(diagnosis.specimen_id)
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


def _lease(ids: Sequence[int], limit: int = BATCH) -> list[_Leased]:
    """Lease up to ``limit`` of the diagnoses, passing over what somebody else has."""
    attempts: dict[int, int] = {}
    for diagnosis_id in ids:
        if len(attempts) == limit:
            break
        if (attempt := diagnosis_lease(diagnosis_id=diagnosis_id)) is not None:
            attempts[diagnosis_id] = attempt
    rows = Diagnosis.objects.in_bulk(list(attempts)) if attempts else {}
    return [_Leased(rows[pk], attempt) for pk, attempt in attempts.items()]


def _screen(leased: Sequence[_Leased]) -> None:
    """Finish, postpone or give up each of ``leased``."""
    if leased:
        with span("diagnosis.screen", diagnosis__fields=len(leased)):
            _screen_together(leased)


def _screen_together(leased: Sequence[_Leased]) -> None:
    # Rejected fields stand apart: they need no model, and do not wait for one that is away.
    prepared: dict[tuple[Predictor, bool], list[tuple[_Leased, pipeline.Prepared]]] = {}
    for lease in leased:
        diagnosis = lease.diagnosis
        if lease.attempt > diagnosis.attempts_max:  # each attempt so far died with its process
            diagnosis_fail(diagnosis=diagnosis, attempt=lease.attempt, failure="gave_up")
            continue
        try:
            predictor = predictor_for(diagnosis.image_sha256, attempt=lease.attempt)
            data = image_read(diagnosis)
            field = observed.prepare(data, predictor.contract, diagnosis_id=diagnosis.pk)
        except Exception as error:  # whatever it was, the row must not hang on a dead lease
            _attempt_failed(lease, error)
        else:
            key = predictor, field.validation.accepted
            prepared.setdefault(key, []).append((lease, field))
    for (predictor, _), fields in prepared.items():
        _conclude(predictor, fields)


def _conclude(predictor: Predictor, fields: Sequence[tuple[_Leased, pipeline.Prepared]]) -> None:
    """Ask the model about ``fields`` in one call, and write down what it says of each."""
    contract = predictor.contract
    try:
        outcomes = observed.conclude([field for _, field in fields], predictor)
    except Exception as error:
        if len(fields) > 1 and not isinstance(error, ModelUnavailableError):
            for field in fields:  # one of them may be at fault; the others shall not suffer
                _conclude(predictor, [field])
        else:
            for lease, _ in fields:
                _attempt_failed(lease, error)
        return
    for (lease, _), outcome in zip(fields, outcomes, strict=True):
        diagnosis_transition(
            diagnosis=lease.diagnosis,
            attempt=lease.attempt,
            to=Status.SCREENED if outcome.prediction else Status.REFUSED,
            **_result_fields(outcome, contract),
        )


def _attempt_failed(lease: _Leased, error: Exception) -> None:
    """Let the diagnosis wait for model or decoders, postpone it with backoff, or give it up."""
    diagnosis, attempt = lease.diagnosis, lease.attempt
    waits = isinstance(error, ModelUnavailableError | ContractError | DecodersBusyError)
    expected = waits or isinstance(error, PredictorError | ImageRefusedError | OSError)
    logger.warning(
        "Diagnosis %s, attempt %s: %s", diagnosis.pk, attempt, error, exc_info=not expected
    )
    waiting = Diagnosis.objects.filter(pk=diagnosis.pk, attempts=attempt, status=Status.RECEIVED)
    if waits:
        # Nothing was tried, so it does not count: one attempt more is allowed in its place.
        waiting.update(
            lease_until=None,
            next_attempt_at=timezone.now() + timedelta(seconds=WAIT_S),
            attempts_max=F("attempts_max") + 1,
        )
        return
    permanent = isinstance(error, ImageRefusedError) or getattr(error, "permanent", False)
    permanent = permanent or _is_another_file(error)
    if permanent or attempt >= diagnosis.attempts_max:
        diagnosis_fail(diagnosis=diagnosis, attempt=attempt, failure=_failure_code(error))
        return
    nth = attempt - (diagnosis.attempts_max - ATTEMPTS_ALLOWED)
    delay = timedelta(seconds=min(BACKOFF_BASE_S * 2 ** (nth - 1), BACKOFF_MAX_S))
    waiting.update(lease_until=None, next_attempt_at=timezone.now() + delay)


def _is_another_file(error: Exception) -> bool:
    """Whether other bytes are there than were stored; what cannot be read may come back."""
    return isinstance(error, MediaDamagedError) and bool(error.found)


def _failure_code(error: Exception) -> str:
    """Which part failed, without anything of the message."""
    if isinstance(error, ImageRefusedError):
        return error.code
    if isinstance(error, PredictorError | ContractError):
        return "model_unavailable"
    if _is_another_file(error):
        return "image_file_damaged"
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
    """The report as the row keeps it; the API shows all of it but the stain."""
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
        "stain": dict(report.stain),
    }
