"""The straight line from bytes to outcome. Pure: no Django, no TensorFlow.

The web portal, the API, the worker and ``export evaluate`` all come through ``screen``, so an
offline figure measures the path that serves users.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import BENIGN, ModelContract
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.validate import ValidationReport, validate
from diagnosis.core.predictors.base import Prediction, Predictor
from diagnosis.core.state import Headline


class Bounds(Protocol):
    """What turns a prediction into a headline; a ``ModelContract`` has it.

    Attributes:
        labels: class names in output order.
        ood_max: largest ``ood_score`` of a field the model may judge.
        suspicious_min, not_suspicious_max: bounds on m = 1 − P(Benign), each in [0, 1].
    """

    @property
    def labels(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def ood_max(self) -> float: ...  # noqa: D102
    @property
    def suspicious_min(self) -> float: ...  # noqa: D102
    @property
    def not_suspicious_max(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Outcome:
    """What the software says about one field.

    Attributes:
        headline: what a clinician is told first.
        validation: every input check with its score; ``rejected`` exactly if not accepted.
        prediction: ``None`` exactly if rejected.
        predicted_class: label of the largest probability, or ``None``.
    """

    headline: Headline
    validation: ValidationReport
    prediction: Prediction | None
    predicted_class: str | None

    @property
    def confidence(self) -> float | None:
        """The largest probability, or ``None`` for a rejected field."""
        return max(self.prediction.probabilities) if self.prediction else None


@dataclass(frozen=True, eq=False)
class Prepared:
    """One field as the model would see it.

    Attributes:
        canonical: uint8 [height, width, 3].
        validation: every input check with its score.
    """

    canonical: NDArray[np.uint8]
    validation: ValidationReport


def screen(data: bytes, contract: ModelContract, predictor: Predictor) -> Outcome:
    """Decode, canonicalise, validate, predict and decide for the stored bytes of one field.

    Args:
        data: an encoded image, as ``decode.to_stored`` keeps it.
        contract: of the version to apply.
        predictor: asked only if the field is accepted.

    Raises:
        ImageRefusedError: the bytes cannot be decoded.
        PredictorError: the model could not answer.
    """
    (outcome,) = conclude([prepare(data, contract)], contract, predictor)
    return outcome


def prepare(data: bytes, contract: ModelContract) -> Prepared:
    """The part of ``screen`` that needs no model.

    Raises:
        ImageRefusedError: the bytes cannot be decoded.
    """
    decoded = decode(data)
    canonical = preprocess(decoded.rgb, contract)
    return Prepared(canonical, validate(decoded, canonical, contract))


def conclude(
    fields: Sequence[Prepared], contract: ModelContract, predictor: Predictor
) -> list[Outcome]:
    """The rest of ``screen``, for several fields in one call of the model.

    Raises:
        PredictorError: the model could not answer.
    """
    accepted = [field.canonical for field in fields if field.validation.accepted]
    predictions = iter(predictor.predict(np.stack(accepted)) if accepted else ())
    return [
        _outcome(field, next(predictions) if field.validation.accepted else None, contract)
        for field in fields
    ]


def _outcome(field: Prepared, prediction: Prediction | None, contract: ModelContract) -> Outcome:
    if prediction is None:
        return Outcome(Headline.REJECTED, field.validation, None, None)
    predicted_class = contract.labels[int(np.argmax(prediction.probabilities))]
    return Outcome(decide(prediction, contract), field.validation, prediction, predicted_class)


def decide(prediction: Prediction, bounds: Bounds) -> Headline:
    """Headline of an accepted field, from m = 1 − P(Benign) and the out-of-domain score."""
    malignant = 1 - prediction.probabilities[bounds.labels.index(BENIGN)]
    if prediction.ood_score > bounds.ood_max:
        return Headline.INDETERMINATE
    if malignant >= bounds.suspicious_min:
        return Headline.SUSPICIOUS
    if malignant <= bounds.not_suspicious_max:
        return Headline.NOT_SUSPICIOUS
    return Headline.INDETERMINATE
