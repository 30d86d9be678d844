"""A field has the same colours whatever colour space its file is in."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from diagnosis.core.colour_profiles import icc
from diagnosis.core.colour_profiles.conversion import MAX_PROFILE, conversion
from diagnosis.core.formats.decode import decode, to_stored
from tests.diagnosis.made.dicom_files import dicom
from tests.diagnosis.made.pictures import drawn, encode
from tests.diagnosis.made.tiff_files import LONG, SHORT, Page, tiff

smear = partial(drawn, 5, 120, 160)
PROFILES = {
    "Adobe RGB (1998)": icc.adobe_rgb(),
    "Display P3": icc.display_p3(),
    "ROMM RGB": icc.romm_rgb(),
}
ADOBE, P3 = PROFILES["Adobe RGB (1998)"], PROFILES["Display P3"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def inside(profile: bytes) -> NDArray[np.uint8]:
    """The field's pixels as a file of this profile holds them."""
    into = ImageCms.buildTransform(SRGB, io.BytesIO(profile), "RGB", "RGB", 1)
    return np.asarray(into.apply(Image.fromarray(smear())))


def jpeg(pixels: NDArray[np.uint8], profile: bytes | None = None, **options: object) -> bytes:
    return encode("JPEG", pixels, quality=100, subsampling=0, icc_profile=profile, **options)


def bitmap(pixels: NDArray[np.uint8], profile: bytes) -> bytes:
    """A BMP file with a BITMAPV5HEADER, which Pillow does not write."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels[::-1, :, ::-1])
    body = b"".join(row.tobytes() + bytes(-3 * width % 4) for row in rows)
    start = 14 + 124
    header = struct.pack("<LllHHLL", 124, width, height, 1, 24, 0, len(body)).ljust(56, b"\0")
    header = (header + b"DEBM").ljust(112, b"\0")
    header += struct.pack("<LLL", 124 + len(body), len(profile), 0)
    whole = start + len(body) + len(profile)
    return struct.pack("<2sLLL", b"BM", whole, 0, start) + header + body + profile


def png(pixels: NDArray[np.uint8], **chunks: bytes) -> bytes:
    """A PNG file with these chunks behind its header."""
    data = encode("PNG", pixels)
    extra = b"".join(
        struct.pack(">L", len(body))
        + name.encode()
        + body
        + struct.pack(">L", zlib.crc32(name.encode() + body))
        for name, body in chunks.items()
    )
    return data[:33] + extra + data[33:]


def chromaticities(white: icc.Point, primaries: tuple[icc.Point, ...]) -> bytes:
    return struct.pack(
        ">8L", *(round(value * 100_000) for point in (white, *primaries) for value in point)
    )


def exif(colour_space: int, index: str = "") -> Image.Exif:
    said = Image.Exif()
    said.get_ifd(0x8769)[0xA001] = colour_space
    if index:
        said.get_ifd(0x8769)[0xA005] = {1: index}
    return said


CARRIERS: dict[str, Callable[[NDArray[np.uint8], bytes], bytes]] = {
    "jpeg": jpeg,
    "rgb jpeg": lambda pixels, profile: jpeg(pixels, profile, keep_rgb=True),
    "progressive jpeg": lambda pixels, profile: jpeg(pixels, profile, progressive=True),
    "jpeg of several segments": lambda pixels, profile: jpeg(pixels, profile + bytes(150_000)),
    "png": lambda pixels, profile: encode("PNG", pixels, icc_profile=profile),
    "png with alpha": lambda pixels, profile: encode(
        "PNG", Image.fromarray(pixels).convert("RGBA"), icc_profile=profile
    ),
    "webp": lambda pixels, profile: encode("WEBP", pixels, lossless=True, icc_profile=profile),
    "tiff": lambda pixels, profile: encode("TIFF", pixels, icc_profile=profile),
    "16-bit tiff": lambda pixels, profile: tiff(
        Page(pixels.astype(np.uint16) * 257, {34675: (7, list(profile))})
    ),
    "bmp": bitmap,
    "dicom": lambda pixels, profile: dicom(pixels.tobytes(), ICCProfile=profile),
    "dicom, by the optical path": lambda pixels, profile: dicom(
        pixels.tobytes(), OpticalPathSequence=[_path(profile)]
    ),
    "dicom with a jpeg": lambda pixels, profile: dicom(
        encapsulate([jpeg(pixels)]), JPEGBaseline8Bit, ICCProfile=profile
    ),
    "dicom with a jpeg that has it": lambda pixels, profile: dicom(
        encapsulate([jpeg(pixels, profile)]), JPEGBaseline8Bit
    ),
}


def _path(profile: bytes) -> Dataset:
    path = Dataset()
    path.ICCProfile = profile
    return path


def _assert_alike(data: bytes, note: str, most: float = 1.0) -> None:
    """The field's own colours, in the upload and in what is kept."""
    decoded, stored = decode(data), to_stored(data)
    assert decoded.colour_conversion == stored.colour_conversion == note
    assert np.abs(decoded.rgb.astype(int) - smear()).mean() < most
    np.testing.assert_array_equal(decode(stored.data).rgb, decoded.rgb)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_carrier_gives_the_colours_of_the_field(carrier: str, name: str) -> None:
    pixels = inside(PROFILES[name])
    assert np.abs(pixels.astype(int) - smear()).mean() > 1.5
    _assert_alike(CARRIERS[carrier](pixels, PROFILES[name]), f"converted: {name}")


STATED = {
    "exif": (ADOBE, lambda pixels: jpeg(pixels, exif=exif(2)), "Adobe RGB (1998)"),
    "exif as cameras have it": (
        ADOBE,
        lambda pixels: jpeg(pixels, exif=exif(0xFFFF, "R03")),
        "Adobe RGB (1998)",
    ),
    "dicom": (
        ADOBE,
        lambda pixels: dicom(pixels.tobytes(), ColorSpace="ADOBERGB"),
        "Adobe RGB (1998)",
    ),
    "dicom with a jpeg": (
        P3,
        lambda pixels: dicom(encapsulate([jpeg(pixels)]), JPEGBaseline8Bit, ColorSpace="DISPLAYP3"),
        "Display P3",
    ),
    "png by gamma and colours": (
        ADOBE,
        lambda pixels: png(
            pixels,
            gAMA=struct.pack(">L", 45_471),
            cHRM=chromaticities(icc.D65, icc.ADOBE),
        ),
        "gAMA and cHRM",
    ),
    "png by numbers": (P3, lambda pixels: png(pixels, cICP=b"\x0c\x0d\0\1"), "Display P3"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STATED)
def test_a_space_that_is_only_named_counts_as_well(kind: str) -> None:
    profile, coded, name = STATED[kind]
    _assert_alike(coded(inside(profile)), f"converted: {name}")


UNTOUCHED = {
    "a profile of sRGB": lambda: jpeg(smear(), SRGB.tobytes()),
    "our own profile of sRGB": lambda: jpeg(
        smear(), icc.rgb_profile("x", icc.SRGB, icc.D65, icc.SRGB_CURVE)
    ),
    "exif that says sRGB": lambda: jpeg(smear(), exif=exif(1)),
    "exif that says nothing": lambda: jpeg(smear(), exif=exif(0xFFFF)),
    "png's sRGB, whatever gamma": lambda: png(
        smear(), sRGB=b"\0", gAMA=struct.pack(">L", 100_000), cHRM=chromaticities(icc.D65, icc.P3)
    ),
    "png's usual gamma and colours": lambda: png(
        smear(), gAMA=struct.pack(">L", 45_455), cHRM=chromaticities(icc.D65, icc.SRGB)
    ),
    "gamma without colours": lambda: png(smear(), gAMA=struct.pack(">L", 55_556)),
    "png's numbers of sRGB": lambda: png(smear(), cICP=b"\1\x0d\0\1"),
    "dicom's word for sRGB": lambda: dicom(smear().tobytes(), ColorSpace="SRGB"),
}


@pytest.mark.parametrize("kind", UNTOUCHED)
def test_pixels_that_are_sRGB_stay_as_they_are(kind: str) -> None:
    data = UNTOUCHED[kind]()
    plain = jpeg(smear()) if data[:2] == b"\xff\xd8" else encode("PNG", smear())
    assert decode(data).colour_conversion == ""
    np.testing.assert_array_equal(decode(data).rgb, decode(plain).rgb)
    assert to_stored(data).data == to_stored(plain).data


def _swapped() -> bytes:
    red, green, blue = icc.SRGB
    return icc.rgb_profile("swapped", (blue, green, red), icc.D65, (2.2,))


IGNORED = {
    "broken": b"no profile at all",
    "cut": ADOBE[:200],
    "absurd": _swapped(),
    "other pixels": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    "too large": ADOBE + bytes(MAX_PROFILE),
}


@pytest.mark.parametrize("carrier", ["jpeg", "png", "webp", "tiff", "dicom", "dicom with a jpeg"])
@pytest.mark.parametrize("kind", IGNORED)
def test_a_profile_that_is_good_for_nothing_is_ignored_and_not_kept(
    carrier: str, kind: str
) -> None:
    data = CARRIERS[carrier](smear(), IGNORED[kind])
    plain = CARRIERS[carrier](smear(), b"")
    stored = to_stored(data)
    assert stored.colour_conversion.startswith("ignored: ")
    np.testing.assert_array_equal(decode(stored.data).rgb, decode(plain).rgb)
    assert stored.data == to_stored(plain).data


def test_why_a_profile_was_ignored_is_said() -> None:
    notes = {kind: conversion(profile, "RGB").note for kind, profile in IGNORED.items()}
    assert notes.pop("cut") == "ignored: broken"
    assert notes.pop("other pixels") in ("ignored: other pixels", "ignored: broken")
    assert notes == {kind: f"ignored: {kind}" for kind in notes}


def test_a_jpeg_keeps_its_coded_data_and_its_profile_but_no_other_metadata() -> None:
    data = jpeg(inside(ADOBE), ADOBE, exif=exif(0xFFFF, "R03"), comment=b"patient Ada")
    stored = to_stored(data)
    assert stored.media_type == "image/jpeg"
    assert stored.data.endswith(data[data.index(b"\xff\xda") :])
    assert b"Exif" not in stored.data
    assert b"Ada" not in stored.data
    assert Image.open(io.BytesIO(stored.data)).info["icc_profile"] == ADOBE
    assert to_stored(stored.data) == stored


def test_grey_and_cmyk_have_profiles_of_their_own() -> None:
    grey = smear()[..., 1]
    as_rgb = encode("JPEG", Image.fromarray(grey), icc_profile=ADOBE)
    assert decode(as_rgb).colour_conversion == "ignored: other pixels"
    cmyk = encode("JPEG", Image.fromarray(smear()).convert("CMYK"), icc_profile=ADOBE)
    assert decode(cmyk).colour_conversion == "ignored: other pixels"
    gamma = _grey_profile(1.0)
    for data in (
        encode("JPEG", Image.fromarray(grey), quality=100, icc_profile=gamma),
        encode("PNG", Image.fromarray(grey), icc_profile=gamma),
    ):
        decoded = decode(data)
        assert decoded.colour_conversion == "converted: grey"
        assert decoded.rgb.mean() > grey.mean() + 10
        np.testing.assert_array_equal(decode(to_stored(data).data).rgb, decoded.rgb)


def _grey_profile(exponent: float) -> bytes:
    """A grey profile, cut out of one of RGB."""
    tags = {
        b"desc": icc._text("grey"),
        b"cprt": icc._text("none"),
        b"wtpt": icc._xyz(icc.D50_XYZ),
        b"kTRC": icc._curve((exponent,)),
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">L", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sLL", tag, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    header = bytearray(icc._header(start + len(body)))
    header[16:20] = b"GRAY"
    return bytes(header) + table + body


def test_the_name_of_a_profile_is_one_short_printable_line() -> None:
    profile = icc.rgb_profile("\u202edrow\n\0" + "x" * 100, icc.ADOBE, icc.D65, (2.2,))
    note = conversion(profile, "RGB").note
    assert note.isprintable()
    assert len(note) <= 75
    nameless = icc.rgb_profile("", icc.ADOBE, icc.D65, (2.2,))
    assert conversion(nameless, "RGB").note == "converted: a profile without a name"


def test_large_pictures_are_converted_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = conversion(ADOBE, "RGB").apply(smear())
    monkeypatch.setattr("diagnosis.core.colour_profiles.conversion.BLOCK", 1000)
    np.testing.assert_array_equal(conversion(ADOBE, "RGB").apply(smear()), whole)
    strip = np.ascontiguousarray(smear()[:1])
    np.testing.assert_array_equal(conversion(ADOBE, "RGB").apply(strip), whole[:1])


def test_transparent_parts_are_white_whatever_the_profile() -> None:
    clear = np.dstack([inside(P3), np.zeros(smear().shape[:2], np.uint8)])
    assert decode(encode("PNG", clear, icc_profile=P3)).rgb.min() == 255


def test_exif_of_a_tiff_counts() -> None:
    place = len(tiff(Page(smear(), {34665: (LONG, [0])})))
    said = struct.pack("<HHHLHHL", 1, 0xA001, SHORT, 1, 2, 0, 0)
    data = tiff(Page(inside(ADOBE), {34665: (LONG, [place])})) + said
    _assert_alike(data, "converted: Adobe RGB (1998)")


def test_a_png_whose_profile_nothing_can_unpack_is_a_png() -> None:
    for body in (b"name\0\1" + zlib.compress(ADOBE), b"name\0\0" + bytes(50), b"", b"\0"):
        data = png(smear(), iCCP=body)
        assert decode(data).colour_conversion == "ignored: broken"
        np.testing.assert_array_equal(decode(data).rgb, smear())
