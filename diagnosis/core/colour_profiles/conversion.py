"""Pixels of any colour space as sRGB, by the ICC profile that the file carries.

Templates and networks were made of sRGB. Pixels of another space, shown or judged as they are,
have other colours than the photographed smear. Little CMS converts them, through Pillow.
"""

import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

MAX_PROFILE = 4_000_000  # bytes; profiles of printers, the largest, have three million
LONGEST_NAME = 64
SAME = 1  # levels by which a profile that is sRGB itself may change a colour
BLOCK = 1_000_000  # pixels that are converted at a time, to need no second whole picture

CONVERTED, IGNORED = "converted: ", "ignored: "
BROKEN, OTHER_PIXELS, ABSURD, TOO_LARGE = "broken", "other pixels", "absurd", "too large"

_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
_CLASSES = ("mntr", "scnr", "prtr", "spac")  # what describes the colours of pixels


@dataclass(frozen=True, eq=False)
class Conversion:
    """How pixels become sRGB.

    Attributes:
        note: what the record says: empty where nothing was done, ``converted: `` and the
            profile's name, or ``ignored: `` and why.
        profile: the profile, where it was not ignored and is not sRGB itself.
    """

    note: str = ""
    profile: bytes = b""
    _transform: Any = field(default=None, repr=False)

    @property
    def converts(self) -> bool:
        """Whether ``apply`` changes anything."""
        return self._transform is not None

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """sRGB uint8 [H, W, 3] of pixels uint8 [H, W, channels], or [H, W] of grey."""
        if self._transform is None:
            return pixels
        height, width = pixels.shape[:2]
        rgb = np.empty((height, width, 3), np.uint8)
        step = max(1, BLOCK // width)
        for top in range(0, height, step):
            block = Image.fromarray(np.ascontiguousarray(pixels[top : top + step]))
            if pixels.shape[2:] == (4,):
                block = Image.frombytes("CMYK", block.size, block.tobytes())
            rgb[top : top + step] = np.asarray(self._transform.apply(block))
        return rgb


NOTHING = Conversion()


def conversion(profile: bytes, mode: str) -> Conversion:
    """What ``profile`` demands of pixels of ``mode``.

    Args:
        profile: of ICC; empty if the file carries none.
        mode: ``RGB``, ``L`` (grey) or ``CMYK``.
    """
    if not profile:
        return NOTHING
    if len(profile) > MAX_PROFILE:
        return Conversion(IGNORED + TOO_LARGE)
    return _conversion(profile, mode)


@lru_cache(maxsize=8)
def _conversion(profile: bytes, mode: str) -> Conversion:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.device_class not in _CLASSES:
            return Conversion(IGNORED + BROKEN)
        if opened.profile.xcolor_space != _SPACES[mode]:
            return Conversion(IGNORED + OTHER_PIXELS)
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        wanted, found = _tried(transform, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return Conversion(IGNORED + BROKEN)
    if not _plausible(found):
        return Conversion(IGNORED + ABSURD)
    if mode != "CMYK" and np.abs(found - wanted).max() <= SAME:
        return NOTHING
    return Conversion(CONVERTED + _name(opened), profile, transform)


def _tried(transform: Any, mode: str) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Colours from all over RGB, and what ``transform`` makes of them; int16 [N, 3].

    The first 18 are grey, from black to white; then come red, green and blue.
    """
    levels = np.linspace(0, 255, 18).astype(np.uint8)
    grey = np.repeat(levels[:, np.newaxis], 3, axis=1)
    every = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    colours = np.concatenate([grey, np.eye(3, dtype=np.uint8) * 255, every])
    image = Image.fromarray(grey if mode == "L" else colours[np.newaxis])
    if mode == "L":
        image = Image.fromarray(levels[np.newaxis])
        colours = grey
    made = np.asarray(transform.apply(image.convert(mode)))
    return colours.astype(np.int16), made.reshape(-1, 3).astype(np.int16)


def _plausible(found: NDArray[np.int16]) -> bool:
    """Whether white is light, black dark, grey rises between them, and red is red."""
    light = found[:18].mean(axis=1)
    rises = bool((np.diff(light) >= -SAME).all()) and light[-1] - light[0] > 100
    primaries = found[18:21]
    own = primaries.size == 0 or (primaries.argmax(axis=1) == np.arange(3)).all()
    return rises and light[-1] > 180 and bool(own)


def _name(opened: ImageCms.ImageCmsProfile) -> str:
    """The profile's description, one printable line."""
    try:
        name = ImageCms.getProfileDescription(opened)
    except (ImageCms.PyCMSError, UnicodeError):
        name = ""
    line = "".join(character for character in name if character.isprintable()).strip()
    return line[:LONGEST_NAME] or "a profile without a name"
