import contextlib
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode, to_stored
from tests.counting import steps_of
from tests.diagnosis.made import dicom_files
from tests.diagnosis.made.dicom_files import EMBEDDED, EXACT, FRAMES, LOSSY, READABLE, dicom, smear
from tests.diagnosis.made.pictures import encode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of damaged files


def _raw() -> bytes:
    return smear().tobytes()


def _refusal(data: bytes) -> str:
    codes = {_refusal_by(take, data) for take in (decode, to_stored)}
    assert len(codes) == 1
    return codes.pop()


def _refusal_by(take: Callable[[bytes], object], data: bytes) -> str:
    with pytest.raises(ImageRefusedError) as caught:
        take(data)
    assert caught.value.message.endswith(".")
    assert caught.value.fix.endswith(".")
    return caught.value.code


def _compressed(frame: bytes, syntax: str, **elements: Any) -> bytes:
    return dicom(encapsulate([frame]), syntax, **elements)


def _deflated() -> bytes:
    return dicom(_raw(), DeflatedExplicitVRLittleEndian)


@pytest.mark.parametrize("kind", EXACT)
def test_lossless_codings_give_the_drawn_pixels(kind: str) -> None:
    np.testing.assert_array_equal(decode(EXACT[kind]).rgb, smear())


@pytest.mark.parametrize("kind", LOSSY)
def test_colours_are_converted_and_not_mixed_up(kind: str) -> None:
    difference = np.abs(decode(LOSSY[kind]).rgb.astype(int) - smear())
    assert difference.mean() < 1.5
    if "422" not in kind and "2000" not in kind:
        assert difference.max() <= 1


@pytest.mark.parametrize("kind", EMBEDDED)
def test_an_embedded_jpeg_file_is_kept_and_not_coded_again(kind: str) -> None:
    stored = to_stored(EMBEDDED[kind])
    assert stored.media_type == "image/jpeg"
    coded = FRAMES["rgb jpeg" if "rgb jpeg" in kind else "jpeg"]
    assert stored.data.endswith(coded[coded.index(b"\xff\xda") :])
    if "rgb jpeg" in kind:
        assert np.abs(decode(stored.data).rgb.astype(int) - smear()).mean() < 1.5
    else:
        assert stored == to_stored(FRAMES["jpeg"])


@pytest.mark.parametrize("kind", READABLE)
def test_the_model_sees_the_same_pixels_in_the_upload_and_in_what_is_kept(kind: str) -> None:
    uploaded, stored = decode(READABLE[kind]), to_stored(READABLE[kind])
    kept = decode(stored.data)
    np.testing.assert_array_equal(kept.rgb, uploaded.rgb)
    assert (stored.width, stored.height) == (uploaded.width, uploaded.height) == (160, 120)


@pytest.mark.parametrize("kind", READABLE)
def test_nothing_of_the_patient_is_kept(kind: str) -> None:
    assert dicom_files.NAME.encode() in READABLE[kind]
    assert b"Doe" not in to_stored(READABLE[kind]).data


def test_what_the_embedded_jpeg_file_says_of_itself_is_not_kept() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera of Dr Example", 6
    frame = encode("JPEG", Image.fromarray(smear()), exif=exif)
    stored = to_stored(_compressed(frame, JPEGBaseline8Bit))
    assert (stored.width, stored.height) == (160, 120), "a viewer of DICOM would not turn it"
    assert b"Camera" not in stored.data


def test_a_large_embedded_jpeg_file_is_decoded_smaller() -> None:
    frame = encode("JPEG", Image.new("RGB", (2592, 1944), (200, 180, 210)))
    decoded = decode(_compressed(frame, JPEGBaseline8Bit, Rows=1944, Columns=2592))
    assert (decoded.width, decoded.height) == (2592, 1944)
    assert decoded.scale == pytest.approx(1 / 4)


CT, WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.77.1.6"
GREY = {"SamplesPerPixel": 1, "PlanarConfiguration": None}
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "another class": (lambda: dicom(_raw(), SOPClassUID=CT), "dicom_class"),
    "no class": (lambda: dicom(_raw(), SOPClassUID=None), "dicom_class"),
    "whole slide": (lambda: dicom(_raw(), SOPClassUID=WHOLE_SLIDE), "whole_slide"),
    "deflated": (_deflated, "dicom_coding"),
    "big endian": (lambda: dicom(_raw(), ExplicitVRBigEndian), "dicom_coding"),
    "jpeg-ls": (lambda: _compressed(_raw(), "1.2.840.10008.1.2.4.80"), "dicom_coding"),
    "lossless jpeg": (lambda: _compressed(_raw(), "1.2.840.10008.1.2.4.70"), "dicom_coding"),
    "two frames": (lambda: dicom(_raw() * 2, NumberOfFrames=2), "several_frames"),
    "a thumbnail": (
        lambda: dicom(_raw(), ImageType=["DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"]),
        "reduced_picture",
    ),
    "monochrome": (
        lambda: dicom(_raw()[: smear().size // 3], PhotometricInterpretation="MONOCHROME2", **GREY),
        "not_in_colour",
    ),
    "palette": (
        lambda: dicom(
            _raw()[: smear().size // 3], PhotometricInterpretation="PALETTE COLOR", **GREY
        ),
        "not_in_colour",
    ),
    "16 bits": (lambda: dicom(_raw() * 2, BitsAllocated=16, BitsStored=12), "dicom_bits"),
    "other colours": (lambda: dicom(_raw(), PhotometricInterpretation="HSV"), "dicom_colours"),
    "jpeg 2000 of other colours": (
        lambda: _compressed(FRAMES["jpeg 2000"], JPEG2000, PhotometricInterpretation="YBR_FULL"),
        "dicom_colours",
    ),
    "no pixels": (lambda: dicom(b""), "damaged_image"),
    "no size": (lambda: dicom(_raw(), Rows=None), "damaged_image"),
    "no rows": (lambda: dicom(b"", Rows=0), "damaged_image"),
    "too few pixels": (lambda: dicom(_raw()[:-160]), "damaged_image"),
    "more rows than pixels": (lambda: dicom(_raw(), Rows=121), "damaged_image"),
    "fewer rows than pixels": (lambda: dicom(_raw(), Rows=119), "damaged_image"),
    "absurd size": (lambda: dicom(_raw(), Rows=65_535, Columns=65_535), "too_many_pixels"),
    "422 of odd width": (
        lambda: dicom(
            _raw()[: 159 * 120 * 2], Columns=159, PhotometricInterpretation="YBR_FULL_422"
        ),
        "damaged_image",
    ),
    "jpeg of another size": (
        lambda: _compressed(FRAMES["jpeg"], JPEGBaseline8Bit, Rows=100),
        "damaged_image",
    ),
    "grey jpeg": (
        lambda: _compressed(
            encode("JPEG", Image.fromarray(smear()).convert("L")), JPEGBaseline8Bit
        ),
        "damaged_image",
    ),
    "jpeg 2000 of another size": (
        lambda: _compressed(FRAMES["jpeg 2000"], JPEG2000, Columns=99),
        "damaged_image",
    ),
    "no jpeg": (lambda: _compressed(b"GIF89a  ", JPEGBaseline8Bit), "damaged_image"),
    "jpeg cut inside": (
        lambda: _compressed(FRAMES["jpeg"][:-900], JPEGBaseline8Bit),
        "damaged_image",
    ),
    "jpeg 2000 cut inside": (
        lambda: _compressed(FRAMES["jpeg 2000 lossless"][:5000], JPEG2000),
        "damaged_image",
    ),
    "run lengths cut inside": (
        lambda: _compressed(FRAMES["rle"][:-3000], RLELossless),
        "damaged_image",
    ),
    "run lengths beyond the picture": (
        lambda: _compressed(FRAMES["rle"], RLELossless, Rows=60),
        "damaged_image",
    ),
    "run lengths of one colour": (
        lambda: _compressed(
            struct.pack("<16L", 1, 64, *[0] * 14) + FRAMES["rle"][64:], RLELossless
        ),
        "damaged_image",
    ),
    "run lengths backwards": (
        lambda: _compressed(
            FRAMES["rle"][:8] + struct.pack("<2L", 90, 80) + FRAMES["rle"][16:], RLELossless
        ),
        "damaged_image",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_single_photograph_through_a_microscope_is_refused_by_name(kind: str) -> None:
    make, code = REFUSED[kind]
    assert _refusal(make()) == code


# --- Bombs -------------------------------------------------------------------------------


def _deflated_bomb() -> bytes:
    """200 kB that inflate to 200 MB of one element's value."""
    coder = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    value = b"".join(coder.compress(bytes(2_000_000)) for _ in range(100)) + coder.flush()
    meta = _deflated()
    return meta[: meta.index(b"1.2.840.10008.1.2.1.99") + 22] + value


def _nested(depth: int) -> bytes:
    """Sequences in sequences, each of undefined length."""
    opened = struct.pack("<HHLHHL", 0x0040, 0x0555, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    return _implicit_with(opened * depth)


def _many_items(count: int) -> bytes:
    """One sequence of ever so many empty items."""
    item = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0xFFFFFFFF, 0xFFFE, 0xE00D, 0)
    return _implicit_with(struct.pack("<HHL", 0x0040, 0x0555, 0xFFFFFFFF) + item * count)


def _many_elements(count: int) -> bytes:
    return _implicit_with(struct.pack("<HHL", 0x0009, 0x1001, 0) * count)


def _implicit_with(elements: bytes) -> bytes:
    """The elements before the size of the picture."""
    data = READABLE["implicit"]
    start = data.index(struct.pack("<HHL", 0x0028, 0x0002, 2))
    return data[:start] + elements + data[start:]


BOMBS = {
    "deflated": (_deflated_bomb, "dicom_coding"),
    "nested sequences": (lambda: _nested(200_000), "damaged_image"),
    "many items": (lambda: _many_items(200_000), "damaged_image"),
    "many elements": (lambda: _many_elements(400_000), "damaged_image"),
    "run lengths": (
        lambda: _compressed(
            struct.pack("<16L", 3, 64, *[1_600_064] * 2, *[0] * 12) + b"\x81\0" * 800_000,
            RLELossless,
        ),
        "damaged_image",
    ),
    "huge run lengths": (
        lambda: _compressed(FRAMES["rle"], RLELossless, Rows=7071, Columns=7071),
        "damaged_image",
    ),
    "jpeg 2000": (
        lambda: _compressed(
            encode("JPEG2000", Image.new("RGB", (6000, 6000)), no_jp2=True),
            JPEG2000,
            Rows=6000,
            Columns=6000,
        ),
        "too_many_pixels",
    ),
    "fragments": (
        lambda: dicom(struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 400_000, JPEGBaseline8Bit),
        "damaged_image",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_costs_few_steps_and_little_memory(kind: str) -> None:
    make, code = BOMBS[kind]
    data = make()
    tracemalloc.start()
    assert _refusal_by(decode, data) == code
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert steps_of(lambda: _refusal_by(decode, data)) < 3_000_000  # the largest takes 1.8 million
    assert peak < 60_000_000 + 4 * len(data)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_the_largest_jpeg_2000_stays_within_a_server_s_memory(tmp_path: Path) -> None:
    """OpenJPEG's own memory is not Python's: a process of its own is measured."""
    flat = encode("JPEG2000", Image.new("RGB", (5000, 5000)), no_jp2=True)
    path = tmp_path / "flat.dcm"
    path.write_bytes(_compressed(flat, JPEG2000, Rows=5000, Columns=5000))
    code = (
        "import sys\n"
        "from diagnosis.core.formats.decode import decode\n"
        "assert decode(open(sys.argv[1], 'rb').read()).width == 5000\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 650 * 1024, "kilobytes"


# --- Damage ------------------------------------------------------------------------------


def test_a_file_cut_anywhere_is_refused_or_lost_nothing_of_its_pixels() -> None:
    for kind in ("explicit", "implicit", "rle in fragments", "jpeg", "jpeg 2000 lossless"):
        data = READABLE[kind]
        whole = decode(data).rgb
        for length in [*range(132, 900, 17), *range(900, len(data), len(data) // 40)]:
            with contextlib.suppress(ImageRefusedError):
                np.testing.assert_array_equal(decode(data[:length]).rgb, whole, err_msg=kind)


def test_a_file_cut_in_its_pixels_is_refused() -> None:
    for kind in READABLE:
        assert _refusal(READABLE[kind][:-500]) == "damaged_image", kind


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(READABLE)), seed=st.integers(0, 2**32))
def test_damaged_files_never_raise_anything_else(kind: str, seed: int) -> None:
    """What still decodes is kept in a form that decodes to the same."""
    dice = random.Random(seed)
    data = bytearray(READABLE[kind])
    start = data.index(b"\xe0\x7f\x10\0")  # where the pixels begin
    for _ in range(dice.choice([1, 2, 10])):
        low, high = dice.choice([(132, start + 40), (start, start + 120), (132, len(data))])
        at = dice.randrange(low, min(high, len(data)))
        data[at] = dice.choice([0, 1, 255, data[at] ^ 1 << dice.randrange(8)])
    if dice.random() < 0.2:
        del data[dice.randrange(132, len(data)) :]
    try:
        stored = to_stored(bytes(data))
    except ImageRefusedError:
        return
    np.testing.assert_array_equal(decode(stored.data).rgb, decode(bytes(data)).rgb)


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=2000), kept=st.integers(132, 900))
@example(noise=b"", kept=132)
def test_noise_after_a_true_beginning_is_refused(noise: bytes, kept: int) -> None:
    with contextlib.suppress(ImageRefusedError):
        to_stored(READABLE["explicit"][:kept] + noise)


# --- What it costs those who send none ---------------------------------------------------


def test_pydicom_is_loaded_with_the_first_dicom_file_and_not_before() -> None:
    code = (
        "import sys\n"
        "from diagnosis.core.formats.decode import decode, to_stored\n"
        "from tests.diagnosis.made.pictures import smear_jpeg\n"
        "decode(smear_jpeg()); to_stored(smear_jpeg())\n"
        "assert 'pydicom' not in sys.modules\n"
        "from tests.diagnosis.made.dicom_files import READABLE\n"
        "to_stored(READABLE['explicit'])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
