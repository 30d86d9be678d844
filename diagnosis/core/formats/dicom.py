"""The one photograph inside a DICOM file; everything else in the file is dropped.

Taken are single-frame VL microscopic images in 8-bit colour. pydicom finds the elements; the
pixels go through the decoders of ``core.formats.decode`` or, in what follows, through NumPy,
OpenCV and Pillow, each bounded by the declared size before anything is decoded. pydicom is
imported with the first DICOM file: it takes a quarter of a second.
"""

import io
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.core.colour_profiles.stated import dicom_profile
from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.jpeg import without_gaps
from diagnosis.core.formats.refusals import (
    damaged,
    reduced_picture,
    require_size,
    several_frames,
    too_many_pixels,
)
from diagnosis.core.i18n import gettext_noop as _

MICROSCOPIC = ("1.2.840.10008.5.1.4.1.1.77.1.2", "1.2.840.10008.5.1.4.1.1.77.1.3")
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
MAX_READS = 20_000  # pydicom's, two or three an element; a photograph's header has some hundred
MAX_JPEG2000_PIXELS = 25_000_000  # OpenJPEG takes 16 bytes a pixel beside the result

_WANTED = (
    "SOPClassUID",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "ICCProfile",
    "ColorSpace",
    "OpticalPathSequence",
    "ImageType",
    "PixelData",
)
_REDUCED = {"THUMBNAIL", "RESAMPLED", "OVERVIEW", "LOCALIZER", "LABEL"}  # of Image Type
_META_ELEMENTS, _PIXEL_DATA = 2, 0x7FE00010
_AS_JPEG_OR_TIFF = _("Export the field as a JPEG or TIFF file and send that.")


@dataclass(frozen=True)
class _Picture:
    """What a decoder needs to know.

    Attributes:
        colours: the photometric interpretation.
        planar: whether each colour lies by itself, in ``native`` pixels.
        data: the value of the element Pixel Data; encapsulated unless ``native``.
    """

    width: int
    height: int
    colours: str
    planar: bool
    data: bytes

    @property
    def pixels(self) -> int:
        return self.width * self.height


def is_dicom(data: bytes) -> bool:
    """Whether ``data`` begins as a DICOM file does."""
    return data[128:132] == b"DICM"


def dicom_picture(data: bytes) -> tuple[bytes | NDArray[np.uint8], bytes]:
    """The picture in a DICOM file and the ICC profile of its pixels, empty where it has none.

    The picture is the JPEG file that is embedded, or RGB uint8 [H, W, 3].

    Raises:
        ImageRefusedError: not a microscopic photograph, several frames, a reduced copy, grey, not 8
            bits, of a coding or size that is not taken, or damaged.
    """
    try:
        syntax, header = _elements(data)
        decoder = _decoder(syntax)
        _require_microscopic(header)
        return decoder(_picture(header)), _profile(header)
    except ImageRefusedError:
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except Exception as error:  # pydicom's and Pillow's parts raise whatever they stumble over
        raise damaged() from error


class _Bounded(io.BytesIO):
    """A file of which pydicom can make only so many objects, however it is nested."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise damaged()
        return super().read(size)


def _elements(data: bytes) -> tuple[str, Any]:
    """The transfer syntax and the elements that matter; nothing is inflated or decoded."""
    from pydicom.datadict import tag_for_keyword
    from pydicom.filereader import read_dataset

    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its warnings quote the file
    file = _Bounded(data)
    file.seek(132)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != _META_ELEMENTS)
    syntax = str(meta.get("TransferSyntaxUID", ""))
    if syntax not in _DECODERS:
        return syntax, None
    header = read_dataset(
        file,
        is_implicit_VR=syntax == _IMPLICIT,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag > _PIXEL_DATA,
        specific_tags=[tag_for_keyword(name) or 0 for name in _WANTED],
    )
    if not len(header):  # what pydicom gives where the file ends inside an element
        raise damaged()
    return syntax, header


def _decoder(syntax: str) -> Callable[[_Picture], bytes | NDArray[np.uint8]]:
    if syntax not in _DECODERS:
        raise ImageRefusedError(
            "dicom_coding",
            _("The pixels of the DICOM file are coded in a way that is not taken."),
            _(
                "Export it uncompressed or as JPEG baseline, JPEG 2000 or RLE, or send a JPEG or "
                "TIFF file."
            ),
        )
    return _DECODERS[syntax]


def _require_microscopic(header: Any) -> None:
    """Only a photograph through a microscope, one field of it."""
    kind = str(header.get("SOPClassUID", ""))
    if kind == WHOLE_SLIDE:
        raise ImageRefusedError(
            "whole_slide",
            _("The DICOM file is a scan of a whole slide."),
            _("Export single fields at 100× as JPEG or TIFF files and send those."),
        )
    if kind not in MICROSCOPIC:
        raise ImageRefusedError(
            "dicom_class",
            _("The DICOM file is not a photograph through a microscope."),
            _("Send a VL Microscopic Image, or export the field as a JPEG or TIFF file."),
        )


def _profile(header: Any) -> bytes:
    """The ICC profile of the picture, or of the optical path through which it was taken."""
    paths = header.get("OpticalPathSequence") or ()
    for item in (header, *paths[:1]):
        profile = dicom_profile(bytes(item.get("ICCProfile") or b""), str(item.get("ColorSpace")))
        if profile:
            return profile
    return b""


def _picture(header: Any) -> _Picture:
    """What the header says, refused where no decoder needs to be asked."""
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise several_frames(frames)
    kind = header.get("ImageType") or ()
    if _REDUCED & {str(value).upper() for value in ((kind,) if isinstance(kind, str) else kind)}:
        raise reduced_picture()
    width, height = int(header.Columns), int(header.Rows)
    require_size(width, height)
    colours = str(header.PhotometricInterpretation)
    if header.SamplesPerPixel == 1:
        raise ImageRefusedError(
            "not_in_colour",
            _(
                "The DICOM picture is grey or has a palette; a stained smear is judged by its "
                "colours."
            ),
            _("Photograph the field in colour, and export it as RGB."),
        )
    if header.BitsAllocated != 8 or header.BitsStored != 8:
        raise ImageRefusedError(
            "dicom_bits", _("The DICOM picture has not 8 bits a colour."), _AS_JPEG_OR_TIFF
        )
    data = header.get("PixelData")
    if not isinstance(data, bytes) or not data or not width or not height:
        raise damaged()
    planar = header.get("PlanarConfiguration") == 1
    return _Picture(width, height, colours, planar, data)


def _require_colours(picture: _Picture, *taken: str) -> None:
    if picture.colours not in taken:
        raise ImageRefusedError(
            "dicom_colours", _("The colours of the DICOM picture cannot be read."), _AS_JPEG_OR_TIFF
        )


def _native(picture: _Picture) -> NDArray[np.uint8]:
    """Uncompressed pixels; at most one byte of padding follows them."""
    _require_colours(picture, "RGB", "YBR_FULL", "YBR_FULL_422")
    halved = picture.colours == "YBR_FULL_422"
    size = picture.pixels * (2 if halved else 3)
    if len(picture.data) not in (size, size + size % 2) or (halved and picture.width % 2):
        raise damaged()
    samples = np.frombuffer(picture.data, np.uint8, size)
    if halved:  # Y Y Cb Cr for each two pixels of a row
        pairs = samples.reshape(-1, 4)
        chroma = np.repeat(pairs[:, 2:], 2, axis=0)
        shaped = np.column_stack([pairs[:, :2].ravel(), chroma])
    elif picture.planar:
        shaped = samples.reshape(3, -1).T
    else:
        shaped = samples
    return _rgb(picture, shaped)


def _run_lengths(picture: _Picture) -> NDArray[np.uint8]:
    """DICOM's RLE: a header of 64 bytes, then a PackBits segment for each colour."""
    _require_colours(picture, "RGB", "YBR_FULL")
    frame = _frame(picture)
    count, *starts = struct.unpack_from("<4L", frame)
    if count != 3 or starts[0] < 64 or sorted(starts) != starts:
        raise damaged()
    ends = [*starts[1:], len(frame)]
    planes = [
        _unpacked(frame[start:end], picture.pixels) for start, end in zip(starts, ends, strict=True)
    ]
    return _rgb(picture, np.stack(planes, axis=1))


def _unpacked(segment: bytes, size: int) -> NDArray[np.uint8]:
    """PackBits of exactly ``size`` bytes. Pillow's and pydicom's decoders let more go by, and
    pydicom's has no bound."""
    plane = bytearray()
    at = 0
    while at + 1 < len(segment) and len(plane) <= size:
        head = segment[at]
        if head < 128:
            plane += segment[at + 1 : at + 2 + head]
            at += 2 + head
        elif head > 128:
            plane += segment[at + 1 : at + 2] * (257 - head)
            at += 2
        else:
            at += 1
    if len(plane) != size:
        raise damaged()
    return np.frombuffer(plane, np.uint8)


def _jpeg(picture: _Picture) -> bytes:
    """The embedded JPEG file as it is, but for colours that it leaves open."""
    _require_colours(picture, "RGB", "YBR_FULL", "YBR_FULL_422")
    frame = without_gaps(_frame(picture))
    with Image.open(io.BytesIO(frame), formats=("JPEG",)) as image:
        _require_header(picture, image)
        silent = not {"jfif", "adobe"} & image.info.keys()
    if picture.colours == "RGB" and silent:  # a decoder would take it for YCbCr
        return frame[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0" + frame[2:]
    return frame


def _jpeg2000(picture: _Picture) -> NDArray[np.uint8]:
    """Its codestream says itself whether the colours were transformed."""
    _require_colours(picture, "RGB", "YBR_RCT", "YBR_ICT")
    if picture.pixels > MAX_JPEG2000_PIXELS:
        raise too_many_pixels()
    with Image.open(io.BytesIO(_frame(picture)), formats=("JPEG2000",)) as image:
        _require_header(picture, image)
        return np.array(image)


def _frame(picture: _Picture) -> bytes:
    """The one frame of encapsulated pixels, its fragments joined."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    file = _Bounded(picture.data)
    parse_basic_offsets(file)
    return b"".join(generate_fragments(file))


def _require_header(picture: _Picture, image: Image.Image) -> None:
    """What is embedded must be what the elements around it say."""
    if image.size != (picture.width, picture.height) or image.mode != "RGB":
        raise damaged()


def _rgb(picture: _Picture, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels of the picture's colours as RGB; YCbCr as JPEG defines it."""
    shaped = samples.reshape(picture.height, picture.width, 3)
    if picture.colours == "RGB":
        return np.ascontiguousarray(shaped)
    return np.asarray(cv2.cvtColor(shaped[..., [0, 2, 1]], cv2.COLOR_YCrCb2RGB), np.uint8)


_IMPLICIT = "1.2.840.10008.1.2"
_DECODERS: dict[str, Callable[[_Picture], bytes | NDArray[np.uint8]]] = {
    _IMPLICIT: _native,
    "1.2.840.10008.1.2.1": _native,
    "1.2.840.10008.1.2.5": _run_lengths,
    "1.2.840.10008.1.2.4.50": _jpeg,
    "1.2.840.10008.1.2.4.90": _jpeg2000,
    "1.2.840.10008.1.2.4.91": _jpeg2000,
}
