"""Activation maps as pictures to lay over a photograph."""

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 224  # pixels: 32 for each of the 7 places, and nothing finer is known
COLOUR = (0, 128, 55)  # RGB; green is no colour of the stain, and dark enough for clear glass
STRONGEST = 217  # alpha where the activation is 1, of 255: the cell below can still be seen


def heat_map(activation: NDArray[np.float32], width: int, height: int) -> bytes:
    """A transparent PNG of an activation map, in the shape of the photograph.

    The model saw the whole field squashed into a square, so a map's columns divide the
    photograph's width and its rows the height, and stretching the map is the exact way back.
    One hue throughout: only the opacity says how much, in proportion to the activation.

    Args:
        activation: float32 [h, w] in [0, 1], rows first.
        width, height: of the photograph in pixels.

    Returns:
        PNG, RGBA; the longer side has at most ``LONGEST_SIDE`` pixels.
    """
    factor = LONGEST_SIDE / max(width, height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    smooth = np.clip(cv2.resize(activation, size, interpolation=cv2.INTER_CUBIC), 0, 1)
    picture = np.empty((size[1], size[0], 4), np.uint8)
    picture[..., :3] = COLOUR[::-1]  # OpenCV writes BGRA
    picture[..., 3] = np.rint(STRONGEST * smooth)
    return cv2.imencode(".png", picture)[1].tobytes()
