"""Bytes → RGB uint8, and bytes → the bytes that are kept.

JPEG (what microscope cameras write) goes through libjpeg-turbo with DCT scaling; a DICOM file is
unwrapped first (``diagnosis.imaging.dicom``); everything else goes through Pillow. ``decode``
gives the same pixels for an upload and for its stored form.
"""

import io
import struct
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from diagnosis.errors import ImageRefused
from diagnosis.imaging.bounds import inspect
from diagnosis.imaging.dicom import dicom_picture, is_dicom
from diagnosis.imaging.refusals import damaged, require_size, several_frames, too_many_pixels
from diagnosis.words import gettext_noop as _

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF")
SCALED_DECODE_SIDE = 448  # a scaled decode keeps at least twice the canonical 224 pixels
ORIENTATION_TAG = 0x0112
TILE_TAGS = (322, 323)  # width and height of a TIFF file's tiles

# Pillow reports a damaged file with any of these, depending on the plug-in.
_PILLOW_ERRORS = (OSError, ValueError, SyntaxError, TypeError, EOFError, IndexError, struct.error)


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A decoded field.

    Attributes:
        rgb: uint8 [H, W, 3]; smaller than the file by ``scale`` where decoding was scaled.
        width, height: of the file in pixels, upright.
    """

    rgb: NDArray[np.uint8]
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Decoded height over file height, in (0, 1]."""
        return self.rgb.shape[0] / self.height


@dataclass(frozen=True)
class StoredImage:
    """What is kept of an upload: no metadata, upright, 8-bit RGB (or grey JPEG).

    Attributes:
        data: the encoded bytes the model will see.
        media_type: ``image/jpeg`` or ``image/png``.
        width, height: in pixels.
    """

    data: bytes
    media_type: str
    width: int
    height: int

    @property
    def extension(self) -> str:
        """File name extension without the dot."""
        return "jpg" if self.media_type == "image/jpeg" else "png"


def decode(data: bytes) -> DecodedImage:
    """Decode an image file.

    JPEG of 896 pixels and more on both sides is decoded inside the DCT at four, three, two or
    one eighth of its size, never below 448 pixels a side. CMYK, 16-bit and palette images become
    8-bit RGB, transparency is laid over white, EXIF rotation is applied.

    Raises:
        ImageRefused: empty, not an image, of a format not taken, animated, too large, too costly
            or damaged; of DICOM, whatever is no single photograph through a microscope.
    """
    data_or_rgb = _unwrapped(data)
    if not isinstance(data_or_rgb, bytes):
        return _whole(data_or_rgb)
    with _open(data_or_rgb) as image:
        if _is_plain_jpeg(image):
            return _decode_jpeg(data_or_rgb, image.width, image.height)
        return _whole(_to_rgb(image))


def to_stored(data: bytes) -> StoredImage:
    """The form in which an upload is kept.

    A plain JPEG loses its metadata segments without recompression; anything else becomes a
    PNG of the decoded pixels. Every file is decoded once on the way, so that what is stored
    can be read.

    Raises:
        ImageRefused: as for ``decode``.
    """
    data_or_rgb = _unwrapped(data)
    if not isinstance(data_or_rgb, bytes):
        return _as_png(_whole(data_or_rgb))
    decoded = decode(data_or_rgb)
    with _open(data_or_rgb) as image:
        plain = _is_plain_jpeg(image)
    if plain:
        stripped = strip_jpeg_metadata(data_or_rgb)
        return StoredImage(stripped, "image/jpeg", decoded.width, decoded.height)
    return _as_png(decoded)


def _unwrapped(data: bytes) -> bytes | NDArray[np.uint8]:
    """``data``, or the picture in it if it is a DICOM file.

    An embedded JPEG file loses its metadata here: only the DICOM elements around it say what the
    picture is, and no viewer would turn it by its EXIF.
    """
    if not is_dicom(data):
        return data
    picture = dicom_picture(data)
    return strip_jpeg_metadata(picture) if isinstance(picture, bytes) else picture


def _whole(rgb: NDArray[np.uint8]) -> DecodedImage:
    return DecodedImage(rgb, width=rgb.shape[1], height=rgb.shape[0])


def _as_png(decoded: DecodedImage) -> StoredImage:
    ok, png = cv2.imencode(".png", cv2.cvtColor(decoded.rgb, cv2.COLOR_RGB2BGR))
    if not ok:
        raise RuntimeError("OpenCV could not encode a PNG")
    return StoredImage(png.tobytes(), "image/png", decoded.width, decoded.height)


def is_plain_jpeg(data: bytes) -> bool:
    """Whether ``data`` is a JPEG that is kept as it is; only its header is read.

    Raises:
        ImageRefused: the header says that it cannot be taken.
    """
    if is_dicom(data):
        return False
    with _open(data) as image:
        return _is_plain_jpeg(image)


def strip_jpeg_metadata(data: bytes) -> bytes:
    """A JPEG without EXIF, XMP, ICC, comments, previews and whatever follows its end.

    Keeps APP0 (JFIF) and APP14 (Adobe: says how colours are coded) and copies the entropy-coded
    scans byte for byte. Expects a file that ``decode`` accepted.
    """
    kept = bytearray(data[:2])
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte before a marker
            position += 1
            continue
        if marker == 0xD9:
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + length
        if marker == 0xDA:
            end = _end_of_scan(data, end)
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            kept += data[position:end]
        position = end
    return bytes(kept) + b"\xff\xd9"


def _end_of_scan(data: bytes, position: int) -> int:
    """Offset of the first marker after the scan data at ``position`` that is no restart."""
    while True:
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            return len(data)
        following = data[position + 1]
        if following == 0x00 or 0xD0 <= following <= 0xD7:
            position += 2
        elif following == 0xFF:
            position += 1
        else:
            return position


def _open(data: bytes) -> Image.Image:
    """Read the header only, and refuse what can be refused from it."""
    if not data:
        raise ImageRefused("empty_image", _("The file is empty."), _("Choose the file again."))
    inspect(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        # A tile is decoded whole, however small the picture in it is.
        tile = [int(getattr(image, "tag_v2", {}).get(tag, 0)) for tag in TILE_TAGS]
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except _PILLOW_ERRORS as error:
        raise ImageRefused(
            "not_an_image",
            _("The file is not an image that can be read."),
            _("Send a JPEG, PNG, TIFF, BMP, WebP, GIF or DICOM file."),
        ) from error
    require_size(image.width, image.height)
    require_size(*tile)
    if frames > 1:
        raise several_frames(frames)
    return image


def _is_plain_jpeg(image: Image.Image) -> bool:
    """Whether the file's pixels are usable as they are: 8-bit YCbCr, RGB or grey, upright."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return False
    try:
        return image.getexif().get(ORIENTATION_TAG, 1) in (0, 1)
    except _PILLOW_ERRORS:  # unreadable EXIF: nothing says the picture is rotated
        return True


def _decode_jpeg(data: bytes, width: int, height: int) -> DecodedImage:
    """Strict decode: a warning of the decoder means damaged pixels, which no model may judge."""
    side = SCALED_DECODE_SIDE
    scaling = (
        {"min_height": side, "min_width": side, "min_factor": 2.0}
        if min(width, height) >= 2 * side
        else {}
    )
    try:
        rgb = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True, **scaling)
    except ValueError as error:
        raise damaged() from error
    return DecodedImage(rgb, width=width, height=height)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Upright 8-bit RGB pixels of any image Pillow can open."""
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("I;16", "I;16B", "I;16L", "I"):
            grey = np.asarray(upright).astype(np.float64)
            eight = np.round(np.clip(grey, 0, 65535) / 257).astype(np.uint8)
            return np.repeat(eight[..., np.newaxis], 3, axis=2)
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            white = Image.new("RGBA", layer.size, "white")
            upright = Image.alpha_composite(white, layer)
        return np.array(upright.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except (*_PILLOW_ERRORS, MemoryError) as error:
        raise damaged() from error
