"""What a version leans on: its accuracy when something is taken from the picture or added.

The painted-over figure is the important one. A network that looked at cells alone would fall to
chance (0.25 balanced) without them; what lies above was read from the background.
"""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.imaging.preprocess import cover
from diagnosis.core.pipeline import decide
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from export.config import CONFIDENT, COVERED
from export.data.dataset import Field, labels_of, load_canonical
from export.evaluation.metrics import Figures, classification, proportion
from export.training.augment import STAINS

Image = NDArray[np.uint8]

PAINTED_OVER = "nucleated cells painted over (background only)"
OTHER_BACKGROUND = "cells on another class's background"
PAINTED_RIM = 7  # pixels around a cell that are painted over with it
# Pixels around a cell that move with it: as many as a network of cells alone is shown
# (`export.training.cells`), so that such a network must answer as before.
PASTED_RIM = 2


def audit(fields: Sequence[Field], predictor: EmbeddedPredictor) -> dict[str, Figures]:
    """Figures of ``fields`` under each alteration, validation left aside.

    Beside accuracy, the fields that still get a confident verdict; for cells on another class's
    background, ``follows_background``: how often the answer is the class of that background.

    Args:
        fields: of two classes at least; with one class there is no other background.
    """
    images = load_canonical([field.path for field in fields])
    labels, groups = labels_of(fields), [field.group for field in fields]
    report = {}
    for name, alter in ALTERATIONS.items():
        altered = np.stack([cover(alter(image), COVERED) for image in images])
        report[name], _ = _figures(altered, labels, groups, predictor)
    partners = partners_of(labels)
    pasted = [paste_cells(image, images[j]) for image, j in zip(images, partners, strict=True)]
    figures, predicted = _figures(
        np.stack([cover(image, COVERED) for image in pasted]), labels, groups, predictor
    )
    followed = proportion(predicted == labels[partners], groups)
    report[OTHER_BACKGROUND] = figures | {"follows_background": followed}
    return report


def partners_of(labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """For each field the index of the one that lends it a background, int [N].

    The k-th field of a class gets the k-th of the next class, counted round where that has
    fewer. Nothing is random, so that two versions are audited on the same pictures.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    partners = np.empty(len(labels), np.intp)
    for ours, theirs in zip(members, members[1:] + members[:1], strict=True):
        partners[ours] = np.resize(theirs, len(ours))
    return partners


def nucleated_mask(rgb: Image) -> NDArray[np.bool_]:
    """Where nucleated cells are by their purple colour, bool [H, W], in uint8 [H, W, 3]."""
    channels = rgb.astype(np.float32)
    purple = (channels[..., 0] + channels[..., 2]) / 2 - channels[..., 1] > 22
    hue = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 0]
    mask = (purple & (hue > 116)).astype(np.uint8)
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)


def paint_over_cells(rgb: Image) -> Image:
    """All purple (nucleated) cells replaced by the median colour of the rest."""
    cells = _with_rim(nucleated_mask(rgb), PAINTED_RIM)
    painted = rgb.copy()
    if cells.any() and not cells.all():
        painted[cells] = np.median(rgb[~cells], axis=0).astype(np.uint8)
    return painted


def paste_cells(rgb: Image, background: Image) -> Image:
    """The nucleated cells of ``rgb`` at their places on ``background`` without its own cells."""
    cells = _with_rim(nucleated_mask(rgb), PASTED_RIM)
    return np.where(cells[..., np.newaxis], rgb, paint_over_cells(background))


def shift_stain(rgb: Image, haematoxylin: float, eosin: float) -> Image:
    """Optical densities along two stain axes multiplied (Ruifrok and Johnston 2001)."""
    density = -np.log((rgb + 1.0) / 256)
    shifted = density @ np.linalg.inv(STAINS) @ np.diag([haematoxylin, eosin, 1]) @ STAINS
    return np.clip(np.rint(np.exp(-shifted) * 256 - 1), 0, 255).astype(np.uint8)


def _figures(
    altered: NDArray[np.uint8],
    labels: NDArray[np.int64],
    groups: Sequence[str],
    predictor: EmbeddedPredictor,
) -> tuple[Figures, NDArray[np.int64]]:
    """Figures of covered images, uint8 [N, 224, 224, 3], and the predicted classes, int64 [N]."""
    predictions = predictor.predict(altered)
    predicted = np.array([int(np.argmax(p.probabilities)) for p in predictions])
    confident = np.array([decide(p, predictor.contract) in CONFIDENT for p in predictions])
    figures = classification(labels, predicted, groups)
    return {
        "accuracy": figures["accuracy"],
        "balanced_accuracy": figures["balanced_accuracy"],
        "confident_share": float(np.mean(confident)),
        "confident": proportion(confident, groups),
    }, predicted


def _with_rim(mask: NDArray[np.bool_], rim: int) -> NDArray[np.bool_]:
    """``mask`` and all pixels at most ``rim`` rows and columns away from it."""
    kernel = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


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


def _corner_only(rgb: Image) -> Image:
    """Everything but the scale-bar corner replaced by the median colour of the rest.

    The corner is covered after this, as in serving, so a network is shown a grey box on that
    colour and nothing of the scale bar. What stands above chance here, the colour told.
    """
    corner = np.zeros(rgb.shape[:2], bool)
    corner[COVERED.top : COVERED.bottom, COVERED.left : COVERED.right] = True
    altered = rgb.copy()
    altered[~corner] = np.median(rgb[~corner], axis=0)
    return altered


ALTERATIONS: dict[str, Callable[[Image], Image]] = {
    PAINTED_OVER: paint_over_cells,
    "scale-bar corner alone (covered, as in serving)": _corner_only,
    "mean colour alone": _mean_colour,
    "grey-scale": _grey,
    "stain shifted: haematoxylin × 1.25, eosin × 0.8": partial(
        shift_stain, haematoxylin=1.25, eosin=0.8
    ),
    "stain shifted: haematoxylin × 0.8, eosin × 1.25": partial(
        shift_stain, haematoxylin=0.8, eosin=1.25
    ),
    "red cast": _scaled(1.1, 1.0, 0.9),
    "blue cast": _scaled(0.9, 1.0, 1.1),
    "brighter by a tenth": _scaled(1.1, 1.1, 1.1),
    "darker by a fifth": _scaled(0.8, 0.8, 0.8),
    "Gaussian blur, σ 1.5 pixels": _blurred,
    "JPEG, quality 50": _jpeg,
}
