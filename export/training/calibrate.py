"""Temperature, out-of-domain score and decision bounds of a trained network.

Features come from the train split, everything that is chosen from the calibration split. It
holds 14 groups, 2 of them Benign: enough to place a number, too few to promise much by it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.imaging.contract import BENIGN, LABELS
from diagnosis.core.pipeline import decide
from diagnosis.core.predictors.base import Prediction
from export.config import CONFIDENT
from export.training.architectures import LOGITS, POOLED
from export.training.train import normalise

SHRINKAGE = 0.01
OOD_PERCENTILE = 99.0
SUSPICIOUS_MIN = 0.5
NOT_SUSPICIOUS_CEILING = 0.25
MARGIN = 1e-3  # of m; publication asks that runtimes agree within 1e-4
# The score of a field in which the network found nothing at all to judge.
NOTHING_SEEN = 1000.0

# Canonical images → pooled features float32 [N, D] and logits float32 [N, classes].
Ask = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Decision:
    """What turns logits and an ``ood_score`` into a headline; a ``pipeline.Bounds``.

    Attributes:
        temperature: divides the logits before the softmax.
        ood_max: largest ``ood_score`` of a field that may get a confident verdict.
        suspicious_min, not_suspicious_max: bounds on m = 1 − P(Benign).
        malignant_groups: how many groups the bounds were set on.
    """

    temperature: float
    ood_max: float
    suspicious_min: float
    not_suspicious_max: float
    malignant_groups: int
    labels: tuple[str, ...] = LABELS

    @property
    def group_risk(self) -> float:
        """Bound on the probability that a new malignant group has a field called not suspicious.

        See ``fit_not_suspicious_max``.
        """
        return 1 / (self.malignant_groups + 1)

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities float64 [N, classes]."""
        return softmax(logits / self.temperature)

    def confident(
        self, logits: NDArray[np.floating], scores: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """Which of N fields get a confident verdict, by the rule that serves users."""
        answers = zip(self.probabilities(logits), scores, strict=True)
        headlines = [decide(Prediction(tuple(p), float(score)), self) for p, score in answers]
        return np.array([headline in CONFIDENT for headline in headlines], bool)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What turns logits and pooled features into the published answers.

    Attributes:
        whitening: float32 [D, D]; a feature vector times it has unit covariance inside a class.
        class_means: float32 [classes, D], of whitened features.
        decision: temperature and bounds.
    """

    whitening: NDArray[np.float32]
    class_means: NDArray[np.float32]
    decision: Decision


def calibrate(
    model: keras.Model,
    train_images: NDArray[np.uint8],
    train_labels: NDArray[np.int64],
    calibration_images: NDArray[np.uint8],
    calibration_labels: NDArray[np.int64],
    calibration_groups: list[str],
) -> Calibration:
    """Fit everything for ``model`` on canonical images, uint8 [N, 224, 224, 3]."""
    ask = features_and_logits(model)
    train_features, _ = ask(train_images)
    features, logits = ask(calibration_images)
    whitening, class_means = fit_domain(train_features, train_labels)
    scores = ood_scores(features, whitening, class_means)
    decision = fit_decision(logits, scores, calibration_labels, calibration_groups)
    return Calibration(whitening, class_means, decision)


def fit_decision(
    logits: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: list[str],
) -> Decision:
    """Temperature and bounds from N fields that gave no gradient.

    Args:
        logits: float32 [N, classes].
        scores: float32 [N], of ``ood_scores``.
        labels: int64 [N].
        groups: pseudo-patient of each field.
    """
    temperature = fit_temperature(logits, labels)
    malignant = labels != LABELS.index(BENIGN)
    malignancy = 1 - softmax(logits / temperature)[:, LABELS.index(BENIGN)]
    return Decision(
        temperature=temperature,
        ood_max=float(np.percentile(scores, OOD_PERCENTILE)),
        suspicious_min=SUSPICIOUS_MIN,
        not_suspicious_max=fit_not_suspicious_max(malignancy[malignant]),
        malignant_groups=len(set(np.asarray(groups)[malignant])),
    )


def features_and_logits(model: keras.Model) -> Ask:
    """Answers images with pooled features and logits, in inference mode.

    One for all images of a network, because TensorFlow traces the network for each.
    """
    both = keras.Model(model.inputs, [model.get_layer(name).output for name in (POOLED, LOGITS)])

    def ask(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        starts = range(0, len(images), 64)
        parts = [both.predict_on_batch(normalise(images[i : i + 64])) for i in starts]
        pooled, logits = zip(*parts, strict=True)
        return np.concatenate(pooled), np.concatenate(logits)

    return ask


def fit_domain(
    features: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Whitening [D, D] and whitened class means [classes, D] of the training features.

    Class-conditional Gaussians with one covariance (Lee et al. 2018), shrunk by 1 % towards a
    multiple of the identity, so that directions without variance cannot dominate.
    """
    exact = features.astype(np.float64)
    means = np.stack([exact[labels == label].mean(axis=0) for label in range(len(LABELS))])
    centred = exact - means[labels]
    covariance = centred.T @ centred / len(exact)
    size = len(covariance)
    covariance *= 1 - SHRINKAGE
    covariance += SHRINKAGE * np.trace(covariance) / size * np.eye(size)
    whitening = np.linalg.cholesky(np.linalg.inv(covariance))
    return whitening.astype(np.float32), (means @ whitening).astype(np.float32)


def ood_scores(
    features: NDArray[np.float32],
    whitening: NDArray[np.float32],
    class_means: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Mahalanobis distance to the nearest class over √D, float32 [N]: about 1 inside a class.

    ``NOTHING_SEEN`` where all features are 0: a network that sees cells alone, and no cell.
    """
    offset = (features @ whitening)[:, np.newaxis] - class_means
    distance = np.sqrt((offset**2).mean(axis=2).min(axis=1))
    return np.where((features == 0).all(axis=1), np.float32(NOTHING_SEEN), distance)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature of smallest negative log-likelihood (Guo et al. 2017), in [0.05, 20].

    Ternary search over its logarithm, in which the likelihood has one minimum.
    """
    low, high = np.log(0.05), np.log(20.0)
    for _ in range(60):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if _loss(logits, labels, np.exp(left)) < _loss(logits, labels, np.exp(right)):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def fit_not_suspicious_max(malignancy: NDArray[np.floating]) -> float:
    """The largest bound clearly below every malignant field's m, and 0.25 at most.

    Clearly: by ten times what the runtimes that answer may differ by, or the very field that
    sets the bound could fall on its wrong side where another runtime judges it.

    The bound this can carry: with the malignant fields from n exchangeable groups, a new malignant
    group has its smallest m at or below the smallest of these n with probability 1/(n+1) at
    most (split conformal prediction with the group as the unit; Vovk et al. 2005, Angelopoulos
    and Bates 2021). Nothing smaller can be promised with n groups, whatever the fields.

    Args:
        malignancy: m = 1 − P(Benign) of every malignant field.
    """
    return min(NOT_SUSPICIOUS_CEILING, max(0.0, float(malignancy.min()) - MARGIN))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities float64 [N, classes]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _loss(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> float:
    chosen = softmax(logits / temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-300)).mean())
