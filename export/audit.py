"""What a version leans on: its accuracy when something is taken from the picture or added.

The painted-over figure is the important one. A network that looked at cells alone would fall to
chance (0.25 balanced) without them; what lies above was read from the background.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.imaging.preprocess import cover
from diagnosis.pipeline import decide
from diagnosis.predictors.embedded import EmbeddedPredictor
from export.config import CONFIDENT, COVERED
from export.dataset import Field, labels_of, load_canonical
from export.metrics import Figures, classification

Image = NDArray[np.uint8]


def audit(fields: Sequence[Field], predictor: EmbeddedPredictor) -> dict[str, Figures]:
    """Figures of ``fields`` under each alteration, validation left aside.

    Beside accuracy, the share that still gets a confident verdict.
    """
    images = load_canonical([field.path for field in fields])
    labels, groups = labels_of(fields), [field.group for field in fields]
    report = {}
    for name, alter in ALTERATIONS.items():
        predictions = predictor.predict(np.stack([cover(alter(i), COVERED) for i in images]))
        predicted = np.array([int(np.argmax(p.probabilities)) for p in predictions])
        figures = classification(labels, predicted, groups)
        confident = [decide(p, predictor.contract) in CONFIDENT for p in predictions]
        report[name] = {
            "accuracy": figures["accuracy"],
            "balanced_accuracy": figures["balanced_accuracy"],
            "confident_share": float(np.mean(confident)),
        }
    return report


def paint_over_cells(rgb: Image) -> Image:
    """All purple (nucleated) cells replaced by the median colour of the rest."""
    channels = rgb.astype(np.float32)
    purple = (channels[..., 0] + channels[..., 2]) / 2 - channels[..., 1] > 22
    hue = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 0]
    mask = (purple & (hue > 116)).astype(np.uint8)
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    cells = cv2.dilate(opened, np.ones((15, 15), np.uint8)).astype(bool)
    painted = rgb.copy()
    if cells.any() and not cells.all():
        painted[cells] = np.median(rgb[~cells], axis=0).astype(np.uint8)
    return painted


def _scaled(*factors: float) -> Callable[[Image], Image]:
    return lambda rgb: np.clip(np.rint(rgb * np.array(factors)), 0, 255).astype(np.uint8)


def _grey(rgb: Image) -> Image:
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]


def _blurred(rgb: Image) -> Image:
    return cv2.GaussianBlur(rgb, (0, 0), 1.5)  # type: ignore[return-value]


def _jpeg(rgb: Image) -> Image:
    _, coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 50])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _mean_colour(rgb: Image) -> Image:
    return np.broadcast_to(rgb.mean(axis=(0, 1)).astype(np.uint8), rgb.shape).copy()


ALTERATIONS: dict[str, Callable[[Image], Image]] = {
    "nucleated cells painted over (background only)": paint_over_cells,
    "mean colour alone": _mean_colour,
    "grey-scale": _grey,
    "red cast": _scaled(1.1, 1.0, 0.9),
    "blue cast": _scaled(0.9, 1.0, 1.1),
    "brighter by a tenth": _scaled(1.1, 1.1, 1.1),
    "darker by a fifth": _scaled(0.8, 0.8, 0.8),
    "Gaussian blur, σ 1.5 pixels": _blurred,
    "JPEG, quality 50": _jpeg,
}
