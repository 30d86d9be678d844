"""The colour space that a file states, as an ICC profile, wherever its format has put it."""

import struct
import zlib
from collections.abc import Iterator

from PIL import ExifTags, Image

from diagnosis.core.colour_profiles import icc

EXIF_ADOBE_RGB, UNCALIBRATED = 2, 0xFFFF  # of the tag ColorSpace; 1 is sRGB
BITMAP_V5, EMBEDDED = 124, b"DEBM"  # the header's size, and what says that a profile follows
ENCODED_SRGB = (45_455, (31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000))
ROUNDING = 100  # in gAMA and cHRM, of 100,000

BROKEN = b"\0"  # in place of a profile that was stated and cannot be had; the record shall say so

_SKIPPED = b"iCCPnone\0\0none"  # which no zlib unpacks

# PNG's cICP names spaces by the numbers of ITU-T H.273; these are the ones that are no film.
_PRIMARIES = {1: ("BT.709", icc.SRGB), 9: ("BT.2020", icc.BT2020), 12: ("Display P3", icc.P3)}
_CURVES = {1: icc.BT709_CURVE, 4: (2.2,), 8: (1.0,), 13: icc.SRGB_CURVE}
_DICOM = {
    "ADOBERGB": icc.adobe_rgb,
    "DISPLAYP3": icc.display_p3,
    "ROMMRGB": icc.romm_rgb,
}


def stated_profile(image: Image.Image, data: bytes) -> bytes:
    """The ICC profile that ``data`` embeds or implies; empty where its pixels are sRGB.

    Args:
        image: ``data`` as Pillow has opened it; nothing needs to be decoded.
    """
    if image.format == "PNG":
        return _of_png(image, data)
    if image.format == "BMP":
        return _of_bitmap(data)
    if "icc_profile" in image.info:
        return _embedded(image) or BROKEN
    return icc.adobe_rgb() if image.mode == "RGB" and _says_adobe(image) else b""


def dicom_profile(profile: bytes, colour_space: str) -> bytes:
    """Of DICOM's elements ICC Profile and Color Space, the first that says something."""
    made = _DICOM.get(colour_space.strip().upper())
    return profile or (made() if made else b"")


def _embedded(image: Image.Image) -> bytes:
    found = image.info.get("icc_profile")
    return found if isinstance(found, bytes) else b""


def _says_adobe(image: Image.Image) -> bool:
    """Whether EXIF says Adobe RGB, by its own tag or as the rules of cameras (DCF) have it."""
    try:
        exif = image.getexif()
        if not exif:
            return False
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace, UNCALIBRATED)
        index = exif.get_ifd(ExifTags.IFD.Interop).get(1, "")
    except Exception:  # Pillow raises whatever a damaged EXIF makes it stumble over
        return False
    if space != UNCALIBRATED:
        return bool(space == EXIF_ADOBE_RGB)
    return str(index).strip("\0 ") == "R03"


def _of_bitmap(data: bytes) -> bytes:
    """The profile behind a BITMAPV5HEADER."""
    if len(data) < 14 + BITMAP_V5 or struct.unpack_from("<L", data, 14)[0] < BITMAP_V5:
        return b""
    offset, size = struct.unpack_from("<LL", data, 14 + 112)
    return data[14 + offset : 14 + offset + size] if data[70:74] == EMBEDDED else b""


def _of_png(image: Image.Image, data: bytes) -> bytes:
    """By the order of PNG's specification: cICP, iCCP, sRGB, then gAMA with cHRM.

    gAMA alone is left aside, as browsers do: many writers put it there without meaning it. Next
    to cHRM it is a description, and the usual pair of sRGB means sRGB, not a plain exponent.
    """
    chunks = dict(_png_chunks(data))
    if cicp := chunks.get(b"cICP"):
        return _of_numbers(cicp)
    if b"iCCP" in chunks:
        return _embedded(image) or BROKEN  # Pillow could not inflate it
    gamma, colours = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    if b"sRGB" in chunks or len(gamma) != 4 or len(colours) != 32:
        return b""
    exponent, points = struct.unpack(">L", gamma)[0], struct.unpack(">8L", colours)
    usual = (ENCODED_SRGB[0], *ENCODED_SRGB[1])
    if all(abs(a - b) <= ROUNDING for a, b in zip((exponent, *points), usual, strict=True)):
        return b""
    white, *primaries = [
        (x / 100_000, y / 100_000) for x, y in zip(points[::2], points[1::2], strict=True)
    ]
    try:
        return icc.rgb_profile("gAMA and cHRM", tuple(primaries), white, (100_000 / exponent,))
    except (ValueError, ZeroDivisionError, OverflowError, struct.error):
        return BROKEN


def _of_numbers(cicp: bytes) -> bytes:
    primaries, curve, matrix, full = cicp.ljust(4, b"\xff")[:4]
    if primaries not in _PRIMARIES or curve not in _CURVES or matrix != 0 or full != 1:
        return BROKEN
    name, points = _PRIMARIES[primaries]
    return icc.rgb_profile(name, points, icc.D65, _CURVES[curve])


def without_profile(data: bytes) -> bytes:
    """A PNG file with a profile in place of its own that Pillow skips, or ``data`` without any.

    Pillow refuses the whole file for a profile that is too large or packed in another way.
    """
    for name, position, length in _png_places(data):
        if name == b"iCCP":
            skipped = struct.pack(">L", len(_SKIPPED) - 4) + _SKIPPED
            skipped += struct.pack(">L", zlib.crc32(_SKIPPED))
            return data[:position] + skipped + data[position + 12 + length :]
    return data


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the small chunks before the pixels."""
    for name, position, length in _png_places(data):
        if name in (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"iCCP"):
            yield name, data[position + 8 : position + 8 + min(length, 32)]


def _png_places(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, place and length of every chunk before the pixels."""
    position = 8 if data.startswith(b"\x89PNG") else len(data)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">L4s", data, position)
        if name == b"IDAT":
            return
        yield name, position, length
        position += 12 + length
