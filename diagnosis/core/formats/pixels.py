"""Upright 8-bit pixels of whatever Pillow has opened."""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from diagnosis.core.colour_profiles.conversion import Conversion
from diagnosis.core.formats import depth
from diagnosis.core.formats.refusals import damaged, too_many_pixels

# Pillow reports a damaged file with any of these, depending on the plug-in.
PILLOW_ERRORS = (OSError, ValueError, SyntaxError, TypeError, EOFError, IndexError, struct.error)

_GREY = ("1", "L", "LA", "La")


def pixel_mode(image: Image.Image) -> str:
    """What the image's pixels are for a colour profile: ``RGB``, ``L`` (grey) or ``CMYK``."""
    if image.mode in _GREY or image.mode.startswith("I"):
        return "L"
    return "CMYK" if image.mode == "CMYK" else "RGB"


def to_rgb(image: Image.Image, data: bytes, colours: Conversion) -> NDArray[np.uint8]:
    """sRGB uint8 [H, W, 3], upright, transparency laid over white.

    Args:
        image: opened, not loaded yet.
        data: the file it was opened from.
        colours: how its pixels become sRGB.

    Raises:
        ImageRefusedError: damaged, too large, or with samples of fewer bits than it says.
    """
    try:
        halves = depth.has_halves(image)
        upright = _upright(image)
        mode = pixel_mode(upright)
        if upright.mode.startswith("I"):
            pixels = depth.eight_of(np.clip(np.asarray(upright), 0, 65_535).astype(np.uint16))
        else:
            pixels = np.array(upright.convert(mode))
        if halves:
            pixels = depth.eight_of(_sixteen(pixels, data, mode))
        return _opaque(_as_rgb(pixels, mode, colours), upright)
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except (*PILLOW_ERRORS, MemoryError) as error:
        raise damaged() from error


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    return ImageOps.exif_transpose(image)


def _sixteen(high: NDArray[np.uint8], data: bytes, mode: str) -> NDArray[np.uint16]:
    """Whole samples, of which ``high`` are the upper halves."""
    with Image.open(io.BytesIO(data)) as again:
        depth.read_low_halves(again)
        low = np.asarray(_upright(again).convert(mode))
    return high.astype(np.uint16) << 8 | low


def _as_rgb(pixels: NDArray[np.uint8], mode: str, colours: Conversion) -> NDArray[np.uint8]:
    if colours.converts:
        return colours.apply(pixels)
    if mode == "L":
        return np.repeat(pixels[..., np.newaxis], 3, axis=2)
    if mode == "CMYK":
        height, width = pixels.shape[:2]
        return np.array(Image.frombytes("CMYK", (width, height), pixels.tobytes()).convert("RGB"))
    return pixels


def _opaque(rgb: NDArray[np.uint8], upright: Image.Image) -> NDArray[np.uint8]:
    """``rgb`` over white where ``upright`` is transparent."""
    if not upright.has_transparency_data:
        return rgb
    layer = Image.fromarray(rgb)
    layer.putalpha(upright.convert("RGBA").getchannel("A"))
    white = Image.new("RGBA", layer.size, "white")
    return np.array(Image.alpha_composite(white, layer).convert("RGB"))
