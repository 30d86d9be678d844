"""The candidate beside the stable version: asked about the same fields, never shown."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.db.models import Max, QuerySet

from diagnosis.core import decoding, pipeline
from diagnosis.core.errors import (
    ContractError,
    DecodersBusyError,
    ImageRefusedError,
    ModelUnavailableError,
    PredictorError,
)
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.base import Predictor
from diagnosis.core.predictors.store import live_path
from diagnosis.core.state import Status
from diagnosis.fields.live_model import canary_predictor
from diagnosis.models import Diagnosis, ShadowAnswer
from diagnosis.storage.images import image_read

logger = logging.getLogger(__name__)

BATCH = 16
FAILED = "failed"  # in place of an outcome: the candidate could not answer
Pair = tuple[str, str]


@dataclass(frozen=True)
class Agreement:
    """How a candidate's answers compare with those that were given.

    Attributes:
        version, digest: of the candidate.
        outcomes: how many fields had each pair (given, candidate's) of outcomes.
        classes: the same of classes, where both named one.
        changed: ids of fields whose outcome would have been another, newest first.
    """

    version: int
    digest: str
    outcomes: dict[Pair, int]
    classes: dict[Pair, int]
    changed: list[int]


def shadow_run(*, limit: int = BATCH) -> int:
    """Ask the candidate, ``live.json``'s canary, about the next fields and keep its answers.

    Fields come in the order of their ids, beginning with those sent in since it became the
    candidate. Where several workers do the same, each answer is kept once.

    Returns:
        How many fields were looked at; 0 if there are none, no candidate, or it is away.
    """
    try:
        candidate = canary_predictor() if settings.SHADOW else None
    except ContractError:
        candidate = None
    if candidate is None:
        return 0
    try:
        answers = [_answer(field, candidate) for field in _next_fields(candidate.contract)[:limit]]
    except (ModelUnavailableError, DecodersBusyError) as error:
        logger.warning("The candidate cannot be asked: %s", error)
        return 0
    ShadowAnswer.objects.bulk_create(answers, ignore_conflicts=True)
    return len(answers)


def shadow_agreement(*, listed: int = 20) -> list[Agreement]:
    """What each candidate said of the fields it was asked about, newest candidate first.

    Args:
        listed: ids in ``changed``, at most.
    """
    found = []
    candidates = ShadowAnswer.objects.values_list("model_version", "model_digest").distinct()
    for version, digest in sorted(candidates, reverse=True):
        outcomes: Counter[Pair] = Counter()
        classes: Counter[Pair] = Counter()
        changed: list[int] = []
        rows = ShadowAnswer.objects.filter(model_digest=digest).order_by("-diagnosis_id")
        for pk, given, theirs, given_class, their_class in rows.values_list(
            "diagnosis_id",
            "diagnosis__outcome",
            "outcome",
            "diagnosis__predicted_class",
            "predicted_class",
        ).iterator():
            outcomes[given or "", theirs] += 1
            if given_class and their_class:
                classes[given_class, their_class] += 1
            if given != theirs and len(changed) < listed:
                changed.append(pk)
        found.append(Agreement(version, digest, dict(outcomes), dict(classes), changed))
    return found


def _next_fields(contract: ModelContract) -> QuerySet[Diagnosis]:
    screened = Diagnosis.objects.filter(status__in=[Status.SCREENED, Status.REFUSED]).exclude(
        model_digest=contract.digest
    )
    last = ShadowAnswer.objects.filter(model_digest=contract.digest).aggregate(
        last=Max("diagnosis_id")
    )["last"]
    if last is None:
        path = live_path(settings.MODEL_STORE, settings.MODEL_NAME)
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return screened.filter(created_at__gte=since).order_by("id")
    return screened.filter(pk__gt=last).order_by("id")


def _answer(diagnosis: Diagnosis, candidate: Predictor) -> ShadowAnswer:
    """What the candidate says of one field, not saved yet.

    Raises:
        ModelUnavailableError, DecodersBusyError: it could not be asked.
    """
    contract = candidate.contract
    answer = ShadowAnswer(
        diagnosis=diagnosis, model_version=contract.version, model_digest=contract.digest
    )
    try:
        field = decoding.prepare(image_read(diagnosis), contract)
        (outcome,) = pipeline.conclude([field], contract, candidate)
    except (ModelUnavailableError, DecodersBusyError):
        raise
    except (PredictorError, ImageRefusedError, OSError) as error:
        logger.warning("The candidate failed on diagnosis %s: %s", diagnosis.pk, error)
        answer.outcome = FAILED
        return answer
    answer.outcome = outcome.headline.value
    answer.predicted_class = outcome.predicted_class or ""
    if outcome.prediction:
        probabilities = outcome.prediction.probabilities
        answer.probabilities = dict(zip(contract.labels, probabilities, strict=True))
        answer.ood_score = outcome.prediction.ood_score
    return answer
