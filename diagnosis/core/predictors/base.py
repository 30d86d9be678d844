"""What every predictor is, whatever runs the network."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.errors import PredictorError
from diagnosis.core.imaging.contract import ModelContract


@dataclass(frozen=True)
class Prediction:
    """A model version's answer for one canonical image.

    Attributes:
        probabilities: one per contract label in its order, each in [0, 1], summing to 1,
            already temperature-scaled.
        ood_score: distance from the training domain; higher = stranger.
    """

    probabilities: tuple[float, ...]
    ood_score: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """A prediction with the map of where it came from.

    Attributes:
        activation: float32 [7, 7] in [0, 1] over the canonical image, rows first.
    """

    prediction: Prediction
    activation: NDArray[np.float32]


class Predictor(Protocol):
    """One published version, ready to answer. Implementations are safe to share by threads."""

    @property
    def contract(self) -> ModelContract:
        """The contract of the version that answers."""

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """Classify canonical images, uint8 [N, height, width, 3], in order.

        Raises:
            PredictorError: the model could not answer, or answered nonsense.
        """

    def explain(self, image: NDArray[np.uint8]) -> Explanation:
        """Classify one canonical image, uint8 [height, width, 3], and say where it looked.

        Raises:
            PredictorError: as for ``predict``.
        """

    def is_ready(self) -> bool:
        """Whether it is worth asking now; sends nothing."""

    def is_available(self) -> bool:
        """Whether it could answer; may ask a server, for about a second."""


def check_images(images: NDArray[np.uint8], contract: ModelContract) -> None:
    """Refuse what no predictor may be sent (a wrong rank can abort a model server).

    Raises:
        PredictorError: permanent; the caller is at fault.
    """
    expected = (contract.height, contract.width, 3)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected:
        raise PredictorError(
            f"expected uint8 [N, {expected[0]}, {expected[1]}, 3], "
            f"got {images.dtype} {list(images.shape)}",
            permanent=True,
        )


def make_prediction(
    probabilities: NDArray[np.float32],
    ood_score: float | NDArray[np.float32],
    contract: ModelContract,
) -> Prediction:
    """Check one raw answer and give it its type.

    Raises:
        PredictorError: permanent; not as many finite numbers as labels, or they do not sum
            to 1 within 1e-3.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    usable = (
        values.shape == (len(contract.labels),)
        and bool(np.isfinite(values).all())
        and bool((values >= 0).all())
        and abs(values.sum() - 1) <= 1e-3
        and np.ndim(ood_score) == 0
        and bool(np.isfinite(ood_score))
    )
    if not usable:
        raise PredictorError(
            f"version {contract.version} of {contract.name} answered with something other than "
            f"{len(contract.labels)} probabilities and a score",
            permanent=True,
        )
    return Prediction(tuple(float(value) for value in values), float(ood_score))


def make_explanation(prediction: Prediction, activation: NDArray[np.float32]) -> Explanation:
    """Check the map of one raw answer and put it beside its prediction.

    Raises:
        PredictorError: permanent; not 7 × 7 numbers in [0, 1].
    """
    if activation.shape != (7, 7) or not ((activation >= 0) & (activation <= 1)).all():
        raise PredictorError("the activation map is not 7 × 7 numbers in [0, 1]", permanent=True)
    return Explanation(prediction, activation)
