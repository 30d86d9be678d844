import contextlib
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.bounds import Structure, inspect
from diagnosis.core.formats.decode import decode, to_stored
from diagnosis.core.formats.refusals import MAX_PIXELS
from tests.diagnosis.core.formats.test_decode import PLAIN_JPEGS, READABLE
from tests.diagnosis.made import costly_files
from tests.diagnosis.made.costly_files import PLAIN, SEVERAL_FRAMES, TOO_COSTLY, TOO_MANY_SCANS
from tests.diagnosis.made.dicom_files import dicom
from tests.diagnosis.made.pictures import drawn, encode, smear_jpeg

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def _refusal(data: bytes) -> ImageRefusedError:
    with pytest.raises(ImageRefusedError) as caught:
        to_stored(data)
    return caught.value


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody but the checks may look at the bytes."""

    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("a library was asked to read the file")

    monkeypatch.setattr(Image, "open", read)
    monkeypatch.setattr("diagnosis.core.formats.decode.simplejpeg.decode_jpeg", read)


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("kind", TOO_COSTLY)
def test_a_file_of_more_parts_than_a_photograph_has_is_read_by_no_library(kind: str) -> None:
    assert _refusal(TOO_COSTLY[kind]).code == "too_costly"


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("kind", TOO_MANY_SCANS)
def test_a_jpeg_of_more_passes_than_its_size_allows_is_read_by_no_library(kind: str) -> None:
    assert _refusal(TOO_MANY_SCANS[kind]).code == "too_many_scans"


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize("kind", SEVERAL_FRAMES)
def test_many_pictures_in_one_file_are_counted_without_a_library(kind: str) -> None:
    refusal = _refusal(SEVERAL_FRAMES[kind])
    assert refusal.code == "several_frames"
    assert refusal.figures == {"frames": 120}


@pytest.mark.parametrize("kind", READABLE)
def test_what_cameras_and_programs_write_is_within_the_bounds(kind: str) -> None:
    data = READABLE[kind]
    decoded = decode(data)
    assert inspect(data).pixels == decoded.width * decoded.height


@pytest.mark.parametrize("kind", READABLE)
def test_only_a_jpeg_of_one_scan_decodes_line_by_line(kind: str) -> None:
    expected = kind in PLAIN_JPEGS.keys() - {"progressive jpeg", "mpo"} or kind == "rotated jpeg"
    assert inspect(READABLE[kind]).one_pass == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: encode("JPEG", Image.new("RGB", (400, 300)), quality=100, restart_marker_blocks=1),
        lambda: encode("PNG", Image.effect_noise((1000, 900), 90)),
        lambda: encode("GIF", Image.effect_noise((1000, 900), 90)),
        lambda: encode(
            "TIFF", Image.effect_noise((9, 5000), 90), compression="tiff_lzw", strip_size=9
        ),
        lambda: encode("BMP", drawn(1, 300, 400)),
    ],
    ids=["restarts", "noisy png", "noisy gif", "a strip for each row", "bmp"],
)
def test_unusual_ways_to_write_a_picture_are_within_the_bounds(make: Callable[[], bytes]) -> None:
    to_stored(make())


def test_a_directory_that_leads_back_to_itself_ends_there() -> None:
    assert inspect(costly_files.tiff(following=8)) == Structure(90_000)


def test_costly_exif_costs_a_jpeg_its_fast_way_and_not_the_upload() -> None:
    body = b"Exif\0\0" + costly_files.exif(3000, 3500)
    data = costly_files.after_start(costly_files.segment(0xE1, body))
    assert inspect(PLAIN["jpeg"]).one_pass
    assert not inspect(data).one_pass
    assert to_stored(data).data == to_stored(PLAIN["jpeg"]).data


def test_the_size_of_a_picture_is_known_before_it_is_decoded() -> None:
    assert inspect(smear_jpeg(1, 900, 1200)).pixels == 1_080_000
    assert inspect(dicom(bytes(200 * 100 * 3), Rows=200, Columns=100)).pixels == 2 * 20_000
    old_bmp = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 30, 20, 1, 24)
    assert inspect(old_bmp).pixels == 600
    assert inspect(b"GIF89a" + b"\xff\xff\xff\xff" + bytes(3)).pixels == MAX_PIXELS
    assert inspect(b"%PDF-1.7") == inspect(b"") == Structure()


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(READABLE)), seed=st.integers(0, 2**32))
def test_damaged_files_are_left_to_the_decoders(kind: str, seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(READABLE[kind])
    for _ in range(dice.choice([1, 10, 100])):
        data[dice.randrange(len(data))] = dice.choice([0, 1, 127, 255])
    with contextlib.suppress(ImageRefusedError):
        assert 0 <= inspect(bytes(data[: dice.randrange(len(data))])).pixels <= MAX_PIXELS


@pytest.mark.data
def test_no_photograph_of_the_image_sets_is_beyond_the_bounds(data_dir: Path) -> None:
    for path in sorted(data_dir.rglob("*.jpg")):
        assert inspect(path.read_bytes()).pixels > 0, path
