"""THE preprocess: the one way pixels are prepared, in training and serving alike."""

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.imaging.contract import ModelContract, Rectangle


def preprocess(rgb: NDArray[np.uint8], contract: ModelContract) -> NDArray[np.uint8]:
    """Canonical image of a decoded field.

    Args:
        rgb: uint8 [H, W, 3], any size.
        contract: gives the size and the covered rectangle.

    Returns:
        uint8 [height, width, 3]: resized once with INTER_AREA, the whole field squashed into
        the square (as the data set did; a centre crop would lose cells), the scale-bar corner
        covered.
    """
    return cover(resize(rgb, contract.height, contract.width), contract.covered)


def resize(rgb: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """``rgb`` (uint8 [H, W, 3]) at the canonical size; never the same array."""
    if rgb.shape[:2] == (height, width):
        return rgb.copy()
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def cover(canonical: NDArray[np.uint8], area: Rectangle) -> NDArray[np.uint8]:
    """Paint ``area`` of a canonical image in place, and return the image.

    The scale bar burnt into that corner differs by recording session, so a network would
    learn the session from it.
    """
    canonical[area.top : area.bottom, area.left : area.right] = area.fill
    return canonical
