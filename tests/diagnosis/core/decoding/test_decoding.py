import os
import struct
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from diagnosis.core import decoding
from diagnosis.core.decoding.turns import Turns
from diagnosis.core.errors import DecodersBusyError, ImageRefusedError
from diagnosis.core.formats.decode import to_stored
from diagnosis.core.formats.refusals import MAX_PIXELS
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.thumbnail import thumbnail
from diagnosis.core.pipeline import prepare
from tests.diagnosis.core.formats.test_decode import PLAIN_JPEGS, READABLE
from tests.diagnosis.made.costly_files import TOO_COSTLY, TOO_MANY_SCANS
from tests.diagnosis.made.pictures import smear_jpeg
from tests.waiting import WITHIN_S, wait_until
from webapp import gunicorn_config

HERE = PLAIN_JPEGS.keys() - {"progressive jpeg", "mpo"}


class _Process:
    """Stands where the process apart does, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def run(self, job: str, arguments: tuple[Any, ...], pixels: int) -> Any:
        self.asked.append((job, pixels))
        return job


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> _Process:
    """The process apart is not started."""
    process = _Process()
    monkeypatch.setattr(decoding._decoders, "process", process)
    return process


@pytest.mark.parametrize("kind", READABLE)
def test_only_a_jpeg_that_decodes_line_by_line_is_decoded_here(kind: str, apart: _Process) -> None:
    stored = decoding.to_stored(READABLE[kind])
    if kind in HERE:
        assert stored == to_stored(READABLE[kind])
        assert not apart.asked
    else:
        assert apart.asked[0][0] == "to_stored"
        assert apart.asked[0][1] > 0


def test_every_job_is_done_apart_where_the_picture_needs_it(
    apart: _Process, contract: ModelContract
) -> None:
    data = READABLE["png"]
    decoding.to_stored(data)
    decoding.prepare(data, contract)
    decoding.canonical(data, contract)
    decoding.thumbnail(data)
    assert [job for job, _ in apart.asked] == ["to_stored", "prepare", "canonical", "thumbnail"]


def test_results_are_those_of_the_pure_functions(contract: ModelContract) -> None:
    for data in (READABLE["png"], READABLE["jpeg"]):
        assert decoding.to_stored(data) == to_stored(data)
        assert decoding.thumbnail(data) == thumbnail(data)
        assert decoding.prepare(data, contract).validation == prepare(data, contract).validation
        seen = decoding.canonical(data, contract)
        assert (seen.pixels == prepare(data, contract).canonical).all()


@pytest.mark.parametrize("kind", TOO_COSTLY | TOO_MANY_SCANS)
def test_what_can_be_refused_without_decoding_needs_no_process(kind: str, apart: _Process) -> None:
    with pytest.raises(ImageRefusedError):
        decoding.to_stored((TOO_COSTLY | TOO_MANY_SCANS)[kind])
    assert not apart.asked


def test_pictures_in_this_process_are_limited_by_their_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = smear_jpeg(1, 900, 1200)
    turns = Turns(3 * 900 * 1200, 100 * 900 * 1200, places=9)
    monkeypatch.setattr(decoding._decoders, "here", turns)
    monkeypatch.setattr(decoding, "WAIT_S", 0.0)
    with turns.turn(2 * 900 * 1200, 0):
        decoding.to_stored(large)
    with turns.turn(2 * 900 * 1200 + 1, 0):
        decoding.to_stored(smear_jpeg(1, 240, 320))
        with pytest.raises(DecodersBusyError):
            decoding.to_stored(large)


def test_one_picture_at_a_time_is_decoded_apart(
    apart: _Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "WAIT_S", 0.0)
    with decoding._decoders.apart.turn(1, 0):
        with pytest.raises(DecodersBusyError):
            decoding.thumbnail(READABLE["png"])
        assert decoding.thumbnail(READABLE["jpeg"])  # does not wait for the others
    assert not apart.asked
    decoding.thumbnail(READABLE["png"])
    assert len(apart.asked) == 1


def test_a_fork_has_decoders_of_its_own() -> None:
    decoding.thumbnail(READABLE["png"])
    before = decoding._decoders.process._child
    assert before is not None
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, b"own" if decoding._decoders.process._child is None else b"shared")
        os._exit(0)
    os.close(write)
    assert os.read(read, 10) == b"own"
    os.waitpid(pid, 0)
    assert decoding._decoders.process._child is before
    assert decoding.thumbnail(READABLE["png"])


def test_large_pictures_do_not_take_every_thread(
    apart: _Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind two of them nobody waits, however much patience there would be."""
    decoders = decoding._Decoders()
    monkeypatch.setattr(decoding, "_decoders", decoders)
    monkeypatch.setattr(decoders, "process", apart)
    with ExitStack() as stack:
        stack.enter_context(decoders.apart.turn(MAX_PIXELS, 0))
        behind = threading.Thread(target=decoding.thumbnail, args=(_declared(7000),))
        behind.start()
        wait_until(lambda: decoders.apart._waiting)
        with pytest.raises(DecodersBusyError):
            decoding.thumbnail(_declared(7000))
        assert not apart.asked
    behind.join(WITHIN_S)
    assert len(apart.asked) == 1


def _declared(side: int) -> bytes:
    """A PNG that says it has so many pixels a side."""
    png = READABLE["png"]
    return png[:16] + struct.pack(">II", side, side) + png[24:]


def test_a_thread_of_the_web_process_stays_free() -> None:
    assert gunicorn_config.threads > decoding.PLACES_APART
