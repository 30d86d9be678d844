"""Small pictures for pages that show many fields."""

import cv2
import numpy as np
import simplejpeg

from diagnosis.core.formats.decode import decode

LONGEST_SIDE = 360  # pixels; sharp at the 9 rem of a gallery on a dense screen


def thumbnail(data: bytes) -> bytes:
    """A small JPEG of a whole stored field.

    Args:
        data: an encoded image, as ``decode.to_stored`` keeps it.

    Returns:
        A JPEG of the same shape whose longer side has at most ``LONGEST_SIDE`` pixels.

    Raises:
        ImageRefusedError: the bytes cannot be decoded.
    """
    decoded = decode(data)
    factor = min(1.0, LONGEST_SIDE / max(decoded.width, decoded.height))
    size = (max(1, round(decoded.width * factor)), max(1, round(decoded.height * factor)))
    small = cv2.resize(decoded.rgb, size, interpolation=cv2.INTER_AREA)
    return simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=82, colorspace="RGB")
