"""Eight bits of samples that have more."""

import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.i18n import gettext_noop as _

CAMERA_BITS = (8, 10, 12, 14)  # of sensors whose samples lie in 16 bits


def has_halves(image: Image.Image) -> bool:
    """Whether samples of 16 bits would be read by their upper halves alone.

    Pillow has no colours of 16 bits. Asked for the other order of bytes, it gives the lower halves.
    """
    return _coding(image).partition(";16")[0] in ("RGB", "RGBX", "RGBA", "CMYK") and (
        ";16" in _coding(image)
    )


def read_low_halves(image: Image.Image) -> None:
    """Turn to the lower halves of an image for which ``has_halves``, before it is loaded."""
    image.tile = [tile._replace(args=_turned(tile.args)) for tile in image.tile]  # type: ignore[attr-defined]


def _turned(args: Any) -> Any:
    if isinstance(args, tuple):
        return (_turned(args[0]), *args[1:])
    native = "L" if sys.byteorder == "little" else "B"
    order = native if args[-1] == "N" else args[-1]
    return args[:-1] + ("B" if order == "L" else "L")


def eight_of(samples: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Samples of the full range of 16 bits in 8 bits, by division.

    Raises:
        ImageRefusedError: they use the lower part of the range alone, as the samples of a camera of
            fewer bits do that nobody scaled. Such a picture is dark by its coding, not its light.
    """
    largest = int(samples.max(initial=0))
    for bits in CAMERA_BITS:
        if 0 < largest < 1 << bits:
            raise ImageRefusedError(
                "sample_depth",
                _("The picture has samples of 16 bits of which at most {bits} bits are used."),
                _(
                    "Have the camera's program scale them to 16 bits, or export the picture with "
                    "8 bits a colour."
                ),
                bits=bits,
            )
    return np.asarray(cv2.convertScaleAbs(samples, alpha=1 / 257), np.uint8)


def _coding(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ""
    return str(args[0] if isinstance(args, tuple) else args)
