"""DICOM files of drawn fields, with a patient's name in them that must go nowhere."""

import io
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    VLMicroscopicImageStorage,
    generate_uid,
)

from diagnosis.core.imaging.synthetic import draw_smear
from tests.diagnosis.made.pictures import encode

NAME = "Doe^Jane"
SMEAR = draw_smear(5, 120, 160)


def dicom(pixels: bytes, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A VL Microscopic Image of ``SMEAR``'s size; ``elements`` by keyword, ``None`` for none."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID", VLMicroscopicImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["drawn"])
    meta.TransferSyntaxUID = syntax
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    height, width = SMEAR.shape[:2]
    known = {
        "SOPClassUID": VLMicroscopicImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": NAME,
        "SpecificCharacterSet": "ISO_IR 192",
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": height,
        "Columns": width,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        **elements,
    }
    for keyword, value in known.items():
        if value is not None:
            setattr(file, keyword, value)
    file.add_new(0x7FE00010, "OB", pixels)
    file["PixelData"].is_undefined_length = file.file_meta.TransferSyntaxUID.is_compressed
    buffer = io.BytesIO()
    dcmwrite(buffer, file)
    return buffer.getvalue()


def ybr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Full-range YCbCr by the formula of the DICOM standard (PS3.3, C.7.6.3.1.2)."""
    matrix = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    converted = rgb @ np.array(matrix).T + [0, 128, 128]
    return np.clip(np.rint(converted), 0, 255).astype(np.uint8)


def halved(rgb: NDArray[np.uint8]) -> bytes:
    """YBR_FULL_422: two pixels of a row share their chroma."""
    converted = ybr(rgb).reshape(-1, 2, 3)
    chroma = converted[..., 1:].mean(axis=1).round().astype(np.uint8)
    return np.hstack([converted[..., 0], chroma]).tobytes()


def run_lengths(pixels: NDArray[np.uint8]) -> bytes:
    """One RLE frame, as pydicom codes it."""
    height, width = pixels.shape[:2]
    return get_encoder(RLELossless).encode(
        pixels.tobytes(),
        rows=height, columns=width, samples_per_pixel=3, bits_allocated=8, bits_stored=8,
        pixel_representation=0, photometric_interpretation="RGB", planar_configuration=0,
        number_of_frames=1, decoding_plugin="",
    )  # fmt: skip


def without_marker(jpeg: bytes, marker: int) -> bytes:
    """``jpeg`` without its first APPn segment of this number."""
    start = jpeg.index(bytes([0xFF, marker]))
    (length,) = struct.unpack_from(">H", jpeg, start + 2)
    return jpeg[:start] + jpeg[start + 2 + length :]


IMAGE = Image.fromarray(SMEAR)
JPEG = encode("JPEG", IMAGE, quality=95)
# Pillow numbers the components R, G, B; with 1, 2, 3 only the Adobe marker says what they are.
RGB_JPEG = bytearray(encode("JPEG", IMAGE, quality=95, keep_rgb=True))
_FRAME, _SCAN = RGB_JPEG.index(b"\xff\xc0"), RGB_JPEG.index(b"\xff\xda")
for _number in range(3):
    RGB_JPEG[_FRAME + 10 + 3 * _number] = RGB_JPEG[_SCAN + 5 + 2 * _number] = _number + 1
SILENT_RGB_JPEG = without_marker(bytes(RGB_JPEG), 0xEE)
J2K_LOSSLESS = encode("JPEG2000", IMAGE, irreversible=False, no_jp2=True)
J2K = encode(
    "JPEG2000", IMAGE, irreversible=True, no_jp2=True, quality_mode="rates", quality_layers=[4]
)

# Pixels exactly as drawn, and those whose coding loses some.
EXACT = {
    "explicit": dicom(SMEAR.tobytes()),
    "implicit": dicom(SMEAR.tobytes(), ImplicitVRLittleEndian),
    "planar": dicom(SMEAR.transpose(2, 0, 1).tobytes(), PlanarConfiguration=1),
    "slide coordinates": dicom(SMEAR.tobytes(), SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.3"),
    "one frame": dicom(SMEAR.tobytes(), NumberOfFrames=1),
    "rle": dicom(encapsulate([run_lengths(SMEAR)]), RLELossless),
    "rle in fragments": dicom(
        encapsulate([run_lengths(SMEAR)], fragments_per_frame=3), RLELossless
    ),
    "jpeg 2000 lossless": dicom(
        encapsulate([J2K_LOSSLESS]), JPEG2000Lossless, PhotometricInterpretation="YBR_RCT"
    ),
}
LOSSY = {
    "ybr": dicom(ybr(SMEAR).tobytes(), PhotometricInterpretation="YBR_FULL"),
    "planar ybr": dicom(
        ybr(SMEAR).transpose(2, 0, 1).tobytes(),
        PhotometricInterpretation="YBR_FULL",
        PlanarConfiguration=1,
    ),
    "ybr rle": dicom(
        encapsulate([run_lengths(ybr(SMEAR))]), RLELossless, PhotometricInterpretation="YBR_FULL"
    ),
    "ybr 422": dicom(halved(SMEAR), PhotometricInterpretation="YBR_FULL_422"),
    "jpeg 2000": dicom(encapsulate([J2K]), JPEG2000, PhotometricInterpretation="YBR_ICT"),
}
EMBEDDED = {
    "jpeg": dicom(encapsulate([JPEG]), JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422"),
    "jpeg in fragments": dicom(
        encapsulate([JPEG], fragments_per_frame=4, has_bot=False),
        JPEGBaseline8Bit,
        PhotometricInterpretation="YBR_FULL_422",
    ),
    "jpeg called rgb": dicom(encapsulate([JPEG]), JPEGBaseline8Bit),
    "rgb jpeg (Adobe)": dicom(encapsulate([bytes(RGB_JPEG)]), JPEGBaseline8Bit),
    "rgb jpeg that does not say so": dicom(encapsulate([SILENT_RGB_JPEG]), JPEGBaseline8Bit),
}
READABLE = EXACT | LOSSY | EMBEDDED

DEFLATED = dicom(SMEAR.tobytes(), DeflatedExplicitVRLittleEndian)
BIG_ENDIAN = dicom(SMEAR.tobytes(), ExplicitVRBigEndian)
