"""DICOM files of drawn fields, with a patient's name in them that must go nowhere."""

import io
import struct
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import (
    JPEG2000,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    VLMicroscopicImageStorage,
    generate_uid,
)

from tests.diagnosis.made.pictures import Lazy, drawn, encode

NAME = "Doe^Jane"
HEIGHT, WIDTH = 120, 160
smear = partial(drawn, 5, HEIGHT, WIDTH)


def dicom(pixels: bytes, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A VL Microscopic Image of ``smear()``'s size; ``elements`` by keyword, ``None`` for none."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = elements.get("SOPClassUID", VLMicroscopicImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["drawn"])
    meta.TransferSyntaxUID = syntax
    file = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    known = {
        "SOPClassUID": VLMicroscopicImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "PatientName": NAME,
        "SpecificCharacterSet": "ISO_IR 192",
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": HEIGHT,
        "Columns": WIDTH,
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


def _rgb_jpeg() -> bytes:
    """Pillow numbers the components R, G, B; with 1, 2, 3 only the Adobe marker names them."""
    data = bytearray(encode("JPEG", smear(), quality=95, keep_rgb=True))
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for number in range(3):
        data[frame + 10 + 3 * number] = data[scan + 5 + 2 * number] = number + 1
    return bytes(data)


FRAMES = Lazy(
    {
        "jpeg": lambda: encode("JPEG", smear(), quality=95),
        "rgb jpeg": _rgb_jpeg,
        "jpeg 2000 lossless": lambda: encode("JPEG2000", smear(), irreversible=False, no_jp2=True),
        "jpeg 2000": lambda: encode(
            "JPEG2000",
            smear(),
            irreversible=True,
            no_jp2=True,
            quality_mode="rates",
            quality_layers=[4],
        ),
        "rle": lambda: run_lengths(smear()),
    }
)

# Pixels exactly as drawn, and those whose coding loses some.
EXACT = Lazy(
    {
        "explicit": lambda: dicom(smear().tobytes()),
        "implicit": lambda: dicom(smear().tobytes(), ImplicitVRLittleEndian),
        "planar": lambda: dicom(smear().transpose(2, 0, 1).tobytes(), PlanarConfiguration=1),
        "slide coordinates": lambda: dicom(
            smear().tobytes(), SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.3"
        ),
        "one frame": lambda: dicom(smear().tobytes(), NumberOfFrames=1),
        "rle": lambda: dicom(encapsulate([FRAMES["rle"]]), RLELossless),
        "rle in fragments": lambda: dicom(
            encapsulate([FRAMES["rle"]], fragments_per_frame=3), RLELossless
        ),
        "jpeg 2000 lossless": lambda: dicom(
            encapsulate([FRAMES["jpeg 2000 lossless"]]),
            JPEG2000Lossless,
            PhotometricInterpretation="YBR_RCT",
        ),
    }
)
LOSSY = Lazy(
    {
        "ybr": lambda: dicom(ybr(smear()).tobytes(), PhotometricInterpretation="YBR_FULL"),
        "planar ybr": lambda: dicom(
            ybr(smear()).transpose(2, 0, 1).tobytes(),
            PhotometricInterpretation="YBR_FULL",
            PlanarConfiguration=1,
        ),
        "ybr rle": lambda: dicom(
            encapsulate([run_lengths(ybr(smear()))]),
            RLELossless,
            PhotometricInterpretation="YBR_FULL",
        ),
        "ybr 422": lambda: dicom(halved(smear()), PhotometricInterpretation="YBR_FULL_422"),
        "jpeg 2000": lambda: dicom(
            encapsulate([FRAMES["jpeg 2000"]]), JPEG2000, PhotometricInterpretation="YBR_ICT"
        ),
    }
)
EMBEDDED = Lazy(
    {
        "jpeg": lambda: dicom(
            encapsulate([FRAMES["jpeg"]]),
            JPEGBaseline8Bit,
            PhotometricInterpretation="YBR_FULL_422",
        ),
        "jpeg in fragments": lambda: dicom(
            encapsulate([FRAMES["jpeg"]], fragments_per_frame=4, has_bot=False),
            JPEGBaseline8Bit,
            PhotometricInterpretation="YBR_FULL_422",
        ),
        "jpeg called rgb": lambda: dicom(encapsulate([FRAMES["jpeg"]]), JPEGBaseline8Bit),
        "rgb jpeg (Adobe)": lambda: dicom(encapsulate([FRAMES["rgb jpeg"]]), JPEGBaseline8Bit),
        "rgb jpeg that does not say so": lambda: dicom(
            encapsulate([without_marker(FRAMES["rgb jpeg"], 0xEE)]), JPEGBaseline8Bit
        ),
    }
)
READABLE = EXACT | LOSSY | EMBEDDED
