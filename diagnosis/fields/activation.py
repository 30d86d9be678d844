"""Where the model looked: the activation map of one field, or why there is none.

A map is shown only if the version that answered passed its check with randomised weights, and it
is computed by that very version: another one's map would explain another answer.
"""

import json
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from diagnosis.core import decoding
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.heatmap import heat_map
from diagnosis.core.predictors.base import Predictor
from diagnosis.core.predictors.store import CARD_FILE, version_dir
from diagnosis.core.state import Status
from diagnosis.fields.live_model import answering_predictor
from diagnosis.fields.selectors import diagnosis_contract
from diagnosis.models import Diagnosis
from diagnosis.storage.images import image_read


class NoMap(StrEnum):
    """Why a field has no activation map."""

    NO_ANSWER = "no_answer"
    VERSION_AWAY = "version_away"
    CHECK_MISSING = "check_missing"
    CHECK_FAILED = "check_failed"


class NoMapError(Exception):
    """There is no map to show.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: NoMap) -> None:
        super().__init__(reason.value)
        self.reason = reason


def why_no_map(diagnosis: Diagnosis) -> NoMap | None:
    """Why the field has no activation map; ``None`` if ``activation_map`` can be asked for one."""
    try:
        _predictor(diagnosis)
    except NoMapError as error:
        return error.reason
    return None


def activation_map(diagnosis: Diagnosis) -> bytes:
    """A transparent PNG in the shape of the stored photograph; see ``imaging.heatmap``.

    Raises:
        NoMapError: there is none, and says why.
        PredictorError: the model could not answer.
        MediaDamagedError, ImageRefusedError: the stored file is not what was stored, or no image.
        DecodersBusyError: others are decoded just now.
    """
    predictor = _predictor(diagnosis)
    field = decoding.canonical(image_read(diagnosis), predictor.contract)
    explanation = predictor.explain(field.pixels)
    return heat_map(explanation.activation, field.width, field.height)


def _predictor(diagnosis: Diagnosis) -> Predictor:
    """The version that answered, if it may be asked for a map.

    Raises:
        NoMapError: it may not, or it is not there.
    """
    version = diagnosis.model_version
    if diagnosis.status != Status.SCREENED or version is None:
        raise NoMapError(NoMap.NO_ANSWER)
    if diagnosis_contract(diagnosis) is None:
        raise NoMapError(NoMap.VERSION_AWAY)
    folder = version_dir(settings.MODEL_STORE, diagnosis.model_name, version)
    passed = _saliency_passed(folder, diagnosis.model_digest)
    if not passed:
        raise NoMapError(NoMap.CHECK_MISSING if passed is None else NoMap.CHECK_FAILED)
    try:
        predictor = answering_predictor(diagnosis.model_name, version, diagnosis.model_digest)
    except ContractError:
        predictor = None
    if predictor is None:
        raise NoMapError(NoMap.VERSION_AWAY)
    return predictor


@lru_cache(maxsize=16)
def _saliency_passed(folder: Path, digest: str) -> bool | None:
    """Whether the version's maps passed their check; ``None`` where its card does not say.

    ``digest`` is in the cache's key: a version published anew is read anew.
    """
    try:
        card = json.loads((folder / CARD_FILE).read_bytes())
        return card["figures"]["saliency"]["passed"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return None
