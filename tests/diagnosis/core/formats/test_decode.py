import contextlib
import io
import math
import random
import struct
import tracemalloc
import zlib
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode, strip_jpeg_metadata, to_stored
from diagnosis.core.formats.refusals import MAX_PIXELS
from tests.diagnosis.made.pictures import Lazy, drawn, encode, smear_jpeg

# Pillow warns of what it skips in a damaged header; what it reads is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning"
)

smear = partial(drawn, 3, 120, 160)


def _image(mode: str = "RGB", **options: Any) -> Image.Image:
    return Image.fromarray(smear()).convert(mode, **options)


def _sixteen_bit() -> NDArray[np.uint16]:
    return smear()[..., 1].astype(np.uint16) * 257


def _exif(orientation: int | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Camera of Dr Example"
    exif[0x8825] = {1: "N", 2: (35.0, 41.0, 21.0), 3: "E", 4: (51.0, 23.0, 20.0)}
    if orientation:
        exif[0x0112] = orientation
    return exif


def tiled_tiff(rgb: NDArray[np.uint8], side: int) -> bytes:
    """A deflated TIFF of square tiles, which Pillow reads and cannot write."""
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((0, -height % side), (0, -width % side), (0, 0)))
    rows, columns = padded.shape[0] // side, padded.shape[1] // side
    squares = padded.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    tiles = [zlib.compress(square.tobytes()) for square in squares]
    lengths = [len(tile) for tile in tiles]
    starts = [8 + sum(lengths[:number]) for number in range(len(tiles))]
    lists = 8 + sum(lengths)
    values = struct.pack(f"<{2 * len(tiles)}L3H", *starts, *lengths, 8, 8, 8)
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, lists + 8 * len(tiles)),
        (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3), (322, 4, 1, side), (323, 4, 1, side),
        (324, 4, len(tiles), lists), (325, 4, len(tiles), lists + 4 * len(tiles)),
    ]  # fmt: skip
    if len(tiles) == 1:
        tags[-2:] = (324, 4, 1, starts[0]), (325, 4, 1, lengths[0])
    directory = b"".join(struct.pack("<HHLL", *tag) for tag in tags) + bytes(4)
    header = struct.pack("<2sHL", b"II", 42, lists + len(values))
    return header + b"".join(tiles) + values + struct.pack("<H", len(tags)) + directory


def _colour_tiff(rgb: NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".tiff", rgb[..., ::-1])[1].tobytes()


ROTATED = Image.Exif()
ROTATED[0x0112] = 6
_palette = partial(_image, "P", palette=Image.Palette.ADAPTIVE)

# Kept as they are, but for their metadata.
PLAIN_JPEGS = Lazy(
    {
        "jpeg": lambda: encode("JPEG", _image()),
        "jpeg 4:4:4": lambda: encode("JPEG", _image(), subsampling=0),
        "jpeg 4:2:2": lambda: encode("JPEG", _image(), subsampling=1),
        "progressive jpeg": lambda: encode("JPEG", _image(), progressive=True),
        "jpeg with restart markers": lambda: encode("JPEG", _image(), restart_marker_blocks=5),
        "grey jpeg": lambda: encode("JPEG", _image("L")),
        "rgb jpeg (Adobe)": lambda: encode("JPEG", _image(), keep_rgb=True),
        "jpeg with position": lambda: encode(
            "JPEG", _image(), exif=_exif(), comment=b"patient Ada"
        ),
        "mpo": lambda: encode("MPO", _image(), save_all=True, append_images=[_image().rotate(180)]),
        "large jpeg": lambda: smear_jpeg(1, 900, 1200),
    }
)
# Kept as a PNG of the decoded pixels.
CONVERTED = Lazy(
    {
        "cmyk jpeg (Adobe)": lambda: encode("JPEG", _image("CMYK")),
        "rotated jpeg": lambda: encode("JPEG", _image(), exif=_exif(orientation=6)),
        "png": lambda: encode("PNG", _image()),
        "16-bit png": lambda: encode("PNG", _sixteen_bit()),
        "16-bit tiff": lambda: encode("TIFF", _sixteen_bit()),
        "rgba png": lambda: encode("PNG", _image("RGBA")),
        "grey-alpha png": lambda: encode("PNG", _image("LA")),
        "palette png with transparency": lambda: encode("PNG", _palette(), transparency=3),
        "1-bit png": lambda: encode("PNG", _image("1")),
        "rotated png": lambda: encode("PNG", _image(), exif=ROTATED),
        "still gif": lambda: encode("GIF", _palette()),
        "bmp": lambda: encode("BMP", _image()),
        "tiff": lambda: encode("TIFF", _image()),
        "lzw tiff": lambda: encode("TIFF", _image(), compression="tiff_lzw"),
        "zstd tiff": lambda: encode("TIFF", _image(), compression="zstd"),
        "big tiff": lambda: encode("TIFF", _image(), big_tiff=True),
        "tiled tiff": lambda: tiled_tiff(smear(), 64),
        "16-bit colour tiff": lambda: _colour_tiff(smear().astype(np.uint16) * 257),
        "jpeg tiff": lambda: encode("TIFF", _image(), compression="jpeg"),
        "cmyk tiff": lambda: encode("TIFF", _image("CMYK")),
        "rotated tiff": lambda: encode("TIFF", _image(), exif=ROTATED),
        "webp": lambda: encode("WEBP", _image()),
        "lossless webp": lambda: encode("WEBP", _image(), lossless=True),
        "rgba webp": lambda: encode("WEBP", _image("RGBA")),
    }
)
READABLE = PLAIN_JPEGS | CONVERTED
LOSSLESS = (
    "png", "bmp", "tiff", "lzw tiff", "tiled tiff", "big tiff", "zstd tiff", "16-bit colour tiff",
    "rgba png", "lossless webp",
)  # fmt: skip
ANIMATED = Lazy(
    {
        "gif": lambda: encode("GIF", _image(), save_all=True, append_images=[_image().rotate(90)]),
        "apng": lambda: encode(
            "PNG", _image(), save_all=True, append_images=[_image().rotate(180)]
        ),
        "webp": lambda: encode(
            "WEBP", _image(), save_all=True, append_images=[_image().rotate(180)]
        ),
        "tiff of two pages": lambda: encode(
            "TIFF", _image(), save_all=True, append_images=[_image()]
        ),
    }
)


def _refusal(data: bytes) -> str:
    with pytest.raises(ImageRefusedError) as caught:
        decode(data)
    assert caught.value.message.endswith(".")
    assert caught.value.fix.endswith(".")
    return caught.value.code


@pytest.mark.parametrize("kind", READABLE)
def test_the_model_sees_the_same_pixels_in_the_upload_and_in_what_is_kept(kind: str) -> None:
    uploaded = decode(READABLE[kind])
    stored = to_stored(READABLE[kind])
    kept = decode(stored.data)
    np.testing.assert_array_equal(kept.rgb, uploaded.rgb)
    assert (kept.width, kept.height) == (uploaded.width, uploaded.height)
    assert (stored.width, stored.height) == (uploaded.width, uploaded.height)
    assert kept.rgb.dtype == np.uint8
    assert kept.rgb.ndim == 3


@pytest.mark.parametrize("kind", READABLE)
def test_what_is_kept_once_is_kept_unchanged_again(kind: str) -> None:
    once = to_stored(READABLE[kind])
    again = to_stored(once.data)
    assert (again.media_type, again.width) == (once.media_type, once.width)
    np.testing.assert_array_equal(decode(again.data).rgb, decode(once.data).rgb)
    if once.media_type == "image/jpeg":
        assert again.data == once.data


@pytest.mark.parametrize("kind", PLAIN_JPEGS)
def test_a_plain_jpeg_keeps_its_coded_data_byte_for_byte(kind: str) -> None:
    data = PLAIN_JPEGS[kind]
    stored = to_stored(data)
    assert stored.media_type == "image/jpeg"
    assert stored.extension == "jpg"
    coded = data[data.index(b"\xff\xda") :]
    coded = coded[: coded.index(b"\xff\xd9") + 2]
    assert stored.data.endswith(coded)


@pytest.mark.parametrize("kind", CONVERTED)
def test_anything_else_is_kept_as_png(kind: str) -> None:
    stored = to_stored(CONVERTED[kind])
    assert stored.media_type == "image/png"
    assert stored.extension == "png"
    assert stored.data.startswith(b"\x89PNG")


def test_how_the_colours_are_coded_is_kept() -> None:
    """Numbered components without JFIF: only Adobe's segment says that they are RGB."""
    data = bytearray(PLAIN_JPEGS["rgb jpeg (Adobe)"])
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for number in range(3):
        data[frame + 10 + 3 * number] = data[scan + 5 + 2 * number] = number + 1
    rgb = decode(bytes(data)).rgb
    assert np.abs(rgb.astype(int) - smear()).mean() < 4
    np.testing.assert_array_equal(decode(to_stored(bytes(data)).data).rgb, rgb)


@pytest.mark.parametrize("kind", ["jpeg with position", "rotated jpeg", "mpo"])
def test_names_places_and_previews_are_gone(kind: str) -> None:
    stored = to_stored(READABLE[kind]).data
    for trace in (b"Exif", b"Camera", b"patient", b"MPF\0"):
        assert trace not in stored
    assert not Image.open(io.BytesIO(stored)).getexif()


def test_bytes_after_the_end_of_the_picture_are_not_kept() -> None:
    data = PLAIN_JPEGS["jpeg"]
    assert strip_jpeg_metadata(data + b"hidden") == strip_jpeg_metadata(data)


def test_lossless_codings_give_the_drawn_pixels() -> None:
    for kind in LOSSLESS:
        np.testing.assert_array_equal(decode(READABLE[kind]).rgb, smear(), err_msg=kind)


def test_sixteen_bits_become_eight_by_division_not_by_cutting() -> None:
    for kind in ("16-bit png", "16-bit tiff"):
        rgb = decode(READABLE[kind]).rgb
        for channel in range(3):
            np.testing.assert_array_equal(rgb[..., channel], smear()[..., 1], err_msg=kind)


def test_transparency_is_laid_over_white() -> None:
    rgba = np.dstack([smear(), np.full(smear().shape[:2], 255, np.uint8)])
    rgba[:60, :, 3] = 0
    rgb = decode(encode("PNG", rgba)).rgb
    assert (rgb[:60] == 255).all()
    np.testing.assert_array_equal(rgb[60:], smear()[60:])


def test_palette_transparency_is_laid_over_white() -> None:
    index = int(np.bincount(np.asarray(_palette()).ravel()).argmax())
    rgb = decode(encode("PNG", _palette(), transparency=index)).rgb
    assert (rgb[np.asarray(_palette()) == index] == 255).all()


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_the_camera_s_rotation_is_applied(orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgb = decode(encode("PNG", _image(), exif=exif)).rgb
    np.testing.assert_array_equal(rgb, np.rot90(smear(), turns))


def test_cmyk_is_converted_not_inverted() -> None:
    difference = decode(READABLE["cmyk jpeg (Adobe)"]).rgb.astype(int) - smear()
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [
        (300, 400, 1),
        (895, 1200, 1),
        (896, 1200, 2),
        (1200, 1600, 8 / 3),
        (1944, 2592, 4),
        (448 * 8, 448 * 9, 8),
    ],
)
def test_a_large_jpeg_is_decoded_smaller_but_keeps_448_pixels(
    height: int, width: int, factor: float
) -> None:
    data = encode("JPEG", Image.new("RGB", (width, height), (200, 180, 210)))
    decoded = decode(data)
    assert (decoded.height, decoded.width) == (height, width)
    assert decoded.rgb.shape == (math.ceil(height / factor), math.ceil(width / factor), 3)
    assert decoded.scale == pytest.approx(1 / factor, rel=0.01)
    assert factor == 1 or min(decoded.rgb.shape[:2]) >= 448


@pytest.mark.parametrize("kind", ANIMATED)
def test_animations_and_pages_are_refused(kind: str) -> None:
    assert _refusal(ANIMATED[kind]) == "several_frames"


@pytest.mark.parametrize(
    "data",
    [b"%PDF-1.7\n%\xe2\xe3", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0" * 5000, b"\xff"],
)
def test_what_is_no_image_is_called_so(data: bytes) -> None:
    assert _refusal(data) == "not_an_image"


def test_nothing_is_called_empty() -> None:
    assert _refusal(b"") == "empty_image"


def _png_bomb(side: int) -> bytes:
    """A small PNG whose header declares ``side``² pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(1_000_000), 9))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No decoder may be asked for a pixel."""

    def asked(*_: object, **how: object) -> None:
        pytest.fail("it was decoded")

    for kind in (ImageFile.ImageFile, TiffImagePlugin.TiffImageFile):
        monkeypatch.setattr(kind, "load", asked)
    monkeypatch.setattr("diagnosis.core.formats.decode.simplejpeg.decode_jpeg", asked)


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("side", [7072, 12_000, 20_000])
def test_a_bomb_is_refused_from_its_header(side: int) -> None:
    assert side * side > MAX_PIXELS
    bomb = _png_bomb(side)
    tracemalloc.start()
    code = _refusal(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert code == "too_many_pixels"
    assert peak < 1_000_000


@pytest.mark.usefixtures("undecoded")
def test_a_tile_larger_than_a_picture_may_be_is_refused_before_it_is_inflated() -> None:
    bomb = tiled_tiff(np.zeros((7072, 7072, 3), np.uint8), 7072)
    small = bomb.replace(struct.pack("<HHLL", 256, 4, 1, 7072), struct.pack("<HHLL", 256, 4, 1, 9))
    assert len(small) < 200_000
    assert _refusal(small) == "too_many_pixels"


def test_an_image_too_long_for_any_coding_is_refused() -> None:
    assert _refusal(encode("TIFF", Image.new("L", (1, 1_100_000)))) == "too_many_pixels"
    assert to_stored(encode("TIFF", Image.new("L", (300, 65_535)))).height == 65_535


@pytest.mark.usefixtures("undecoded")
def test_a_jpeg_of_many_passes_is_refused_before_it_costs_anything() -> None:
    data = encode("JPEG", Image.new("L", (4000, 4000), 200), progressive=True)
    last_pass = data[data.rindex(b"\xff\xda") : -2]
    assert _refusal(data[:-2] + last_pass * 5000 + b"\xff\xd9") == "too_many_scans"


def test_a_jpeg_cut_anywhere_is_refused() -> None:
    for kind in ("jpeg", "progressive jpeg", "cmyk jpeg (Adobe)", "jpeg with restart markers"):
        data = READABLE[kind]
        for length in [*range(0, 700, 13), *range(700, len(data) - 30, 211), len(data) - 1]:
            with pytest.raises(ImageRefusedError):
                to_stored(data[:length])


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(READABLE)), share=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_refused_or_lost_nothing_of_its_pixels(kind: str, share: float) -> None:
    data = READABLE[kind]
    try:
        rest = decode(data[: int(share * len(data))])
    except ImageRefusedError:
        return
    np.testing.assert_array_equal(rest.rgb, decode(data).rgb)


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=2000),
    magic=st.deferred(lambda: st.sampled_from([b"", *(d[:40] for d in READABLE.values())])),
)
@example(data=b"\xff\xd9", magic=b"\xff\xd8\xff\xe0")
def test_random_bytes_are_refused_and_never_raise_anything_else(data: bytes, magic: bytes) -> None:
    with contextlib.suppress(ImageRefusedError):
        to_stored(magic + data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(READABLE)), seed=st.integers(0, 2**32))
def test_damaged_files_never_raise_anything_else(kind: str, seed: int) -> None:
    """What still decodes is kept in a form that decodes to the same."""
    dice = random.Random(seed)
    data = bytearray(READABLE[kind])
    for _ in range(dice.choice([1, 2, 10])):
        within = dice.choice([40, 300, len(data)])
        data[dice.randrange(min(len(data), within))] = dice.choice([0, 1, 127, 255])
    try:
        stored = to_stored(bytes(data))
    except ImageRefusedError:
        return
    np.testing.assert_array_equal(decode(stored.data).rgb, decode(bytes(data)).rgb)
