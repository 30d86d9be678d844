"""Of a TIFF file the photograph is judged, never a reduced copy of it."""

import struct
from functools import partial

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.colour_profiles.icc import adobe_rgb
from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.decode import decode, to_stored
from diagnosis.core.formats.tiff import MAX_DIRECTORIES
from tests.diagnosis.made.pictures import drawn
from tests.diagnosis.made.tiff_files import LONG, SHORT, Page, reduced, tiff

smear = partial(drawn, 3, 120, 160)
small = partial(drawn, 4, 60, 80)
tiny = partial(drawn, 5, 30, 40)
MOSAIC = {262: (SHORT, [32803])}
KINDS = [("<", False), (">", False), ("<", True)]

# Pillow warns of what it skips in a damaged header; what it reads is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def _refusal(data: bytes) -> str:
    with pytest.raises(ImageRefusedError) as caught:
        to_stored(data)
    assert caught.value.message.endswith(".")
    assert caught.value.fix.endswith(".")
    return caught.value.code


def _assert_is(data: bytes, pixels: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decode(data).rgb, pixels)
    np.testing.assert_array_equal(decode(to_stored(data).data).rgb, pixels)


WITH_COPIES = {
    "a thumbnail behind it": lambda: [Page(smear()), reduced(tiny())],
    "a preview before it": lambda: [reduced(tiny()), Page(smear())],
    "a pyramid of pages": lambda: [Page(smear()), reduced(small()), reduced(tiny())],
    "a pyramid of SubIFDs": lambda: [Page(smear(), children=[reduced(small()), reduced(tiny())])],
    "a preview, and it in a SubIFD": lambda: [Page(small(), {254: (LONG, [1])}, [Page(smear())])],
    "a preview without a flag, and it in a SubIFD": lambda: [
        Page(small(), children=[Page(smear())])
    ],
    "it in a SubIFD of a SubIFD": lambda: [
        Page(tiny(), children=[Page(small(), children=[Page(smear())])])
    ],
    "a copy without a flag in a SubIFD": lambda: [Page(smear(), children=[Page(small())])],
    "the flag of early versions": lambda: [Page(smear()), Page(small(), {255: (SHORT, [2])})],
    "a mask": lambda: [Page(smear()), Page(smear()[..., 0], {254: (LONG, [4])})],
    "a reduced mask": lambda: [Page(smear()), Page(small()[..., 0], {254: (LONG, [5])})],
    "a mask by its colours alone": lambda: [
        Page(smear()),
        Page(smear()[..., 0], {262: (SHORT, [4])}),
    ],
    "the flag of one page of several": lambda: [Page(smear(), {254: (LONG, [2])}), reduced(tiny())],
}


@pytest.mark.parametrize(("order", "big"), KINDS)
@pytest.mark.parametrize("kind", WITH_COPIES)
def test_the_photograph_is_taken_wherever_it_lies(kind: str, order: str, big: bool) -> None:
    _assert_is(tiff(*WITH_COPIES[kind](), order=order, big=big), smear())


REFUSED = {
    "several photographs": (lambda: [Page(smear()), Page(smear())], "several_frames"),
    "photographs of several sizes": (lambda: [Page(smear()), Page(small())], "several_frames"),
    "two in SubIFDs": (
        lambda: [Page(tiny(), children=[Page(smear()), Page(smear())])],
        "several_frames",
    ),
    "one of the same size in a SubIFD": (
        lambda: [Page(smear(), children=[Page(smear())])],
        "several_frames",
    ),
    "a reduced copy alone": (lambda: [reduced(smear())], "reduced_picture"),
    "a reduced copy alone by the early flag": (
        lambda: [Page(smear(), {255: (SHORT, [2])})],
        "reduced_picture",
    ),
    "a copy larger than the photograph": (
        lambda: [Page(small()), reduced(smear())],
        "reduced_picture",
    ),
    "a mask alone": (lambda: [Page(smear()[..., 0], {254: (LONG, [4])})], "reduced_picture"),
    "a raw photograph": (lambda: [Page(smear()[..., 0], MOSAIC)], "raw_photograph"),
    "a preview, and raw data in a SubIFD": (
        lambda: [Page(small(), {254: (LONG, [1])}, [Page(smear()[..., 0], MOSAIC)])],
        "raw_photograph",
    ),
    "a preview, and raw data behind it": (
        lambda: [Page(small()), Page(smear()[..., 0], MOSAIC)],
        "raw_photograph",
    ),
    "a full preview of raw data": (
        lambda: [
            Page(tiny(), {254: (LONG, [1])}, [reduced(smear()), Page(small()[..., 0], MOSAIC)])
        ],
        "raw_photograph",
    ),
    "linear raw data": (
        lambda: [Page(small(), {254: (LONG, [1])}, [Page(smear(), {262: (SHORT, [34892])})])],
        "raw_photograph",
    ),
}


@pytest.mark.parametrize(("order", "big"), KINDS)
@pytest.mark.parametrize("kind", REFUSED)
def test_no_reduced_copy_is_judged(kind: str, order: str, big: bool) -> None:
    pages, code = REFUSED[kind]
    assert _refusal(tiff(*pages(), order=order, big=big)) == code


@pytest.mark.parametrize(
    "start", [b"IIRO", b"IIU\0", b"FUJIFILMCCD-RAW ", b"\0\0\0\x18ftypcrx ", b"\0MRM"]
)
def test_raw_files_that_are_no_tiff_are_called_by_their_name(start: bytes) -> None:
    assert _refusal(start + bytes(500)) == "raw_photograph"


@pytest.mark.parametrize("mark", [b"CR\x02\0", b"IIII"])
def test_raw_files_that_show_a_preview_as_the_photograph_are_refused(mark: bytes) -> None:
    data = tiff(Page(smear()))
    assert _refusal(data[:8] + mark + data[12:]) == "raw_photograph"


def test_what_the_first_directory_says_of_the_file_holds_for_the_photograph() -> None:
    """Cameras write rotation and profile once."""
    said = {254: (LONG, [1]), 274: (SHORT, [3]), 34675: (7, list(adobe_rgb()))}
    in_child = decode(tiff(Page(small(), said, [Page(smear())])))
    alone = decode(tiff(Page(smear(), {34675: said[34675]})))
    assert in_child.colour_conversion == "converted: Adobe RGB (1998)"
    np.testing.assert_array_equal(in_child.rgb, np.rot90(alone.rgb, 2))


@pytest.mark.parametrize(("child", "code"), [(0xFFFFFF0, "damaged_image"), (7, "too_costly")])
def test_a_directory_that_cannot_be_found_may_be_the_photograph(child: int, code: str) -> None:
    assert _refusal(tiff(Page(smear(), {330: (LONG, [child])}))) == code


def test_a_chain_that_bites_its_tail_ends() -> None:
    data = bytearray(tiff(Page(smear())))
    data[-4:] = data[4:8]
    _assert_is(bytes(data), smear())


def test_a_file_of_very_many_directories_is_refused() -> None:
    page = Page(np.zeros((1, 1), np.uint8))
    assert _refusal(tiff(*[page] * (MAX_DIRECTORIES + 2))) == "several_frames"
    children = {330: (LONG, [8] * (MAX_DIRECTORIES + 1))}
    assert _refusal(tiff(Page(smear(), children))) == "too_costly"


def test_a_coding_that_is_not_read_is_no_damage() -> None:
    unknown_to_pillow = tiff(Page(smear()), order=">", big=True)
    assert _refusal(unknown_to_pillow) == "tiff_coding"
    assert _refusal(tiff(Page(smear(), {259: (SHORT, [34712])}))) == "tiff_coding"


def _sixteen() -> NDArray[np.uint16]:
    return smear().astype(np.uint16) * 257


@pytest.mark.parametrize(("order", "big"), KINDS)
def test_a_photograph_of_sixteen_bits_is_taken_from_a_subdirectory(order: str, big: bool) -> None:
    data = tiff(Page(small(), {254: (LONG, [1])}, [Page(_sixteen())]), order=order, big=big)
    _assert_is(data, smear())


def test_a_photograph_too_large_is_refused_though_its_preview_is_not() -> None:
    large = Page(smear(), {256: (LONG, [40_000]), 257: (LONG, [30_000])})
    assert _refusal(tiff(Page(small(), {254: (LONG, [1])}, [large]))) == "too_many_pixels"


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_samples_of_a_camera_are_named(bits: int) -> None:
    with pytest.raises(ImageRefusedError, match=rf"sample_depth: .* {bits} bits") as caught:
        decode(tiff(Page(smear(), {258: (SHORT, [bits] * 3)})))
    assert "lamp" not in caught.value.fix


@pytest.mark.parametrize("kind", [2, 3])
def test_signed_and_fractional_samples_are_refused(kind: int) -> None:
    page = Page(smear()[..., 0].astype(np.uint16), {339: (SHORT, [kind])})
    assert _refusal(tiff(page)) == "sample_depth"


def test_colours_of_sixteen_bits_each_by_itself_are_not_mistaken_for_eight() -> None:
    planes = Page(_sixteen().transpose(2, 0, 1).reshape(120, 160, 3), {284: (SHORT, [2])})
    assert _refusal(tiff(planes)) == "sample_depth"


def test_a_compressed_photograph_is_found_behind_its_thumbnail() -> None:
    """libtiff opens the file anew, and must find the same directory."""
    compressed = cv2.imencode(".tiff", smear()[..., ::-1])[1].tobytes()
    (first,) = struct.unpack_from("<L", compressed, 4)
    entries = struct.unpack_from("<H", compressed, first)[0]
    following = first + 2 + 12 * entries
    joined = bytearray(compressed + bytes(len(compressed) % 2))
    # A directory of the same strips, flagged, with half the rows, in front of the photograph.
    preview = bytearray(compressed[first : following + 4])
    preview[-4:] = struct.pack("<L", first)
    rows = next(
        place for place in range(2, len(preview) - 4, 12) if preview[place : place + 2] == b"\1\1"
    )
    preview[rows + 8 : rows + 12] = struct.pack("<L", 60)
    flag = struct.pack("<HHLL", 254, 4, 1, 1)
    preview[:2] = struct.pack("<H", entries + 1) + flag
    struct.pack_into("<L", joined, 4, len(joined))
    _assert_is(bytes(joined) + bytes(preview), smear())
