"""Bytes → RGB uint8, and bytes → the bytes that are kept.

JPEG (what microscope cameras write) goes through libjpeg-turbo with DCT scaling; a DICOM file is
unwrapped first (``diagnosis.core.formats.dicom``); everything else goes through Pillow. ``decode``
gives the same pixels for an upload and for its stored form.
"""

import io
import itertools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from diagnosis.core.colour_profiles.conversion import Conversion, conversion
from diagnosis.core.colour_profiles.stated import stated_profile, without_profile
from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats import jpeg, tiff
from diagnosis.core.formats.bounds import inspect
from diagnosis.core.formats.dicom import dicom_picture, is_dicom
from diagnosis.core.formats.jpeg import strip_jpeg_metadata
from diagnosis.core.formats.pixels import PILLOW_ERRORS, pixel_mode, to_rgb
from diagnosis.core.formats.refusals import (
    damaged,
    reduced_picture,
    require_size,
    several_frames,
    too_many_pixels,
)
from diagnosis.core.i18n import gettext_noop as _

__all__ = ["DecodedImage", "StoredImage", "decode", "strip_jpeg_metadata", "to_stored"]

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
SCALED_DECODE_SIDE = 448  # a scaled decode keeps at least twice the canonical 224 pixels
ORIENTATION_TAG = 0x0112
TILE_TAGS = (322, 323)  # width and height of a TIFF file's tiles


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A decoded field.

    Attributes:
        rgb: uint8 [H, W, 3]; smaller than the file by ``scale`` where decoding was scaled.
        width, height: of the file in pixels, upright.
        colour_conversion: what was done about the file's colour profile; see ``Conversion.note``.
    """

    rgb: NDArray[np.uint8]
    width: int
    height: int
    colour_conversion: str = ""

    @property
    def scale(self) -> float:
        """Decoded height over file height, in (0, 1]."""
        return self.rgb.shape[0] / self.height


@dataclass(frozen=True)
class StoredImage:
    """What is kept of an upload: no metadata, upright, 8-bit sRGB, or a JPEG with its own colours.

    Attributes:
        data: the encoded bytes the model will see.
        media_type: ``image/jpeg`` or ``image/png``.
        width, height: in pixels.
        colour_conversion: what was done about the upload's colour profile; see
            ``Conversion.note``.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    colour_conversion: str = ""

    @property
    def extension(self) -> str:
        """File name extension without the dot."""
        return "jpg" if self.media_type == "image/jpeg" else "png"


def decode(data: bytes) -> DecodedImage:
    """Decode an image file to sRGB.

    JPEG of 896 pixels and more on both sides is decoded inside the DCT at four, three, two or
    one eighth of its size, never below 448 pixels a side. CMYK, 16-bit and palette images become
    8-bit RGB, colour profiles are applied, transparency is laid over white, EXIF rotation is
    applied.

    Raises:
        ImageRefusedError: empty, not an image, of a format not taken, animated, too large, too
            costly or damaged; a reduced copy or unprocessed data of a camera in place of a
            photograph; of DICOM, whatever is no single photograph through a microscope.
    """
    return _read(data)[0]


def to_stored(data: bytes) -> StoredImage:
    """The form in which an upload is kept.

    A plain JPEG loses its metadata segments without recompression, but for a colour profile
    that its pixels need; anything else becomes a PNG of the decoded pixels. Every file is decoded
    once on the way, so that what is stored can be read.

    Raises:
        ImageRefusedError: as for ``decode``.
    """
    decoded, kept = _read(data)
    if kept is None:
        return _as_png(decoded)
    return StoredImage(kept, "image/jpeg", decoded.width, decoded.height, decoded.colour_conversion)


def _read(data: bytes) -> tuple[DecodedImage, bytes | None]:
    """The decoded picture, and the JPEG to keep if its coded data can stay as they are."""
    picture, profile = _unwrapped(data)
    if not isinstance(picture, bytes):
        colours = conversion(profile, "RGB")
        return _whole(colours.apply(picture), colours), None
    image, data = _open(picture)
    with image:
        colours = conversion(stated_profile(image, data), pixel_mode(image))
        if image.format not in ("JPEG", "MPO"):
            return _whole(to_rgb(image, data, colours), colours), None
        plain = _is_plain_jpeg(image)
        pixels, data = _strictly(data, image, plain)
        if not plain:
            upright = to_rgb(image, data, colours)
            return _whole(upright, colours), None
    if colours.converts:
        pixels = colours.apply(pixels if image.mode == "RGB" else pixels[..., 0])
    decoded = DecodedImage(pixels, image.width, image.height, colours.note)
    return decoded, strip_jpeg_metadata(data, colours.profile)


def _unwrapped(data: bytes) -> tuple[bytes | NDArray[np.uint8], bytes]:
    """``data``, or the picture in it if it is a DICOM file; with the profile of pixels.

    An embedded JPEG file loses its metadata here: only the DICOM elements around it say what the
    picture is, and no viewer would turn it by its EXIF. Their profile goes before its own.
    """
    if not is_dicom(data):
        return data, b""
    picture, profile = dicom_picture(data)
    if not isinstance(picture, bytes):
        return picture, profile
    return strip_jpeg_metadata(picture, profile or None), b""


def _whole(rgb: NDArray[np.uint8], colours: Conversion) -> DecodedImage:
    return DecodedImage(rgb, rgb.shape[1], rgb.shape[0], colours.note)


def _as_png(decoded: DecodedImage) -> StoredImage:
    ok, png = cv2.imencode(".png", cv2.cvtColor(decoded.rgb, cv2.COLOR_RGB2BGR))
    if not ok:
        raise RuntimeError("OpenCV could not encode a PNG")
    return StoredImage(
        png.tobytes(), "image/png", decoded.width, decoded.height, decoded.colour_conversion
    )


def is_plain_jpeg(data: bytes) -> bool:
    """Whether ``data`` is a JPEG that is kept as it is; only its header is read.

    Raises:
        ImageRefusedError: the header says that it cannot be taken.
    """
    if is_dicom(data):
        return False
    with _open(data)[0] as image:
        return _is_plain_jpeg(image)


def _open(data: bytes) -> tuple[Image.Image, bytes]:
    """Read the header only, and refuse what can be refused from it.

    Gives the opened image and the bytes it is of: of a TIFF file with its photograph first, of a
    JPEG file without surplus bytes in its header, of a PNG file without a profile Pillow refuses.
    """
    if not data:
        raise ImageRefusedError("empty_image", _("The file is empty."), _("Choose the file again."))
    inspect(data)
    if data.startswith(tiff.RAW_STARTS):
        raise tiff.raw_photograph()
    if tiff.is_tiff(data):
        data = tiff.photograph(data)
    try:
        image, data = _opened(data)
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        # A tile is decoded whole, however small the picture in it is.
        tile = [int(getattr(image, "tag_v2", {}).get(tag, 0)) for tag in TILE_TAGS]
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except PILLOW_ERRORS as error:
        raise _unreadable(data) from error
    require_size(image.width, image.height)
    require_size(*tile)
    if frames > 1:
        raise several_frames(frames)
    if image.format in ("JPEG", "MPO") and jpeg.larger_picture_follows(
        data, image.width * image.height
    ):
        raise reduced_picture()
    return image, data


def _opened(data: bytes) -> tuple[Image.Image, bytes]:
    """As ``_open``; Pillow refuses a file for bytes that mean nothing and for a bad profile."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS), data
    except PILLOW_ERRORS:
        mended = jpeg.without_gaps(data) if jpeg.is_jpeg(data) else without_profile(data)
        if mended is data:
            raise
        return Image.open(io.BytesIO(mended), formats=FORMATS), mended


def _unreadable(data: bytes) -> ImageRefusedError:
    if tiff.is_tiff(data):
        return tiff.unreadable()
    return ImageRefusedError(
        "not_an_image",
        _("The file is not an image that can be read."),
        _("Send a JPEG, PNG, TIFF, BMP, WebP, GIF or DICOM file."),
    )


def _is_plain_jpeg(image: Image.Image) -> bool:
    """Whether the file's pixels are usable as they are: 8-bit YCbCr, RGB or grey, upright."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return False
    try:
        return image.getexif().get(ORIENTATION_TAG, 1) in (0, 1)
    except PILLOW_ERRORS:  # unreadable EXIF: nothing says the picture is rotated
        return True


def _strictly(data: bytes, image: Image.Image, plain: bool) -> tuple[NDArray[np.uint8], bytes]:
    """Pixels of a JPEG file, and the file without the surplus bytes that stood in their way.

    A warning of the decoder means damaged pixels, which no model may judge. Of a file that is not
    plain the pixels are good for nothing but this judgement.
    """
    options: dict[str, Any] = {"colorspace": "CMYK" if image.mode == "CMYK" else "RGB"}
    if not plain:
        options |= {"min_height": 1, "min_width": 1, "min_factor": 8.0}
    elif min(image.size) >= 2 * SCALED_DECODE_SIDE:
        side = SCALED_DECODE_SIDE
        options |= {"min_height": side, "min_width": side, "min_factor": 2.0}
    for form in itertools.chain([data], jpeg.without_surplus(data)):
        try:
            return simplejpeg.decode_jpeg(form, strict=True, **options), form
        except ValueError:
            continue
    raise damaged()
