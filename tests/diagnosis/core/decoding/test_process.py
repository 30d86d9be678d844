import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis.core.decoding import process as decoding_process
from diagnosis.core.decoding.budget import Budget, budget
from diagnosis.core.decoding.process import COMMAND, ROOT, DecodingProcess
from diagnosis.core.errors import DecodersBusyError, ImageRefusedError
from diagnosis.core.formats.decode import to_stored
from diagnosis.core.formats.refusals import MAX_PIXELS
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.thumbnail import thumbnail
from diagnosis.core.pipeline import prepare
from tests.diagnosis.core.formats.test_decode import READABLE
from tests.diagnosis.made.pictures import encode

AMPLE = Budget(cpu_s=100.0, memory=2**31, wall_s=300.0)
DYING = """
import os, pickle, signal, sys
pickle.load(sys.stdin.buffer)
open(sys.argv[1], "a").write("x")
os.kill(os.getpid(), int(sys.argv[2]))
signal.pause()
"""


@cache
def _large() -> bytes:
    return encode("PNG", np.zeros((3000, 4000, 3), np.uint8))


@pytest.fixture(scope="module")
def process() -> Iterator[DecodingProcess]:
    """One that several tests use."""
    process = DecodingProcess()
    yield process
    process.close()


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the budget of every picture."""

    def allow(found: Budget) -> None:
        monkeypatch.setattr(decoding_process, "budget", lambda pixels: found)

    return allow


def _refusal(process: DecodingProcess, job: str, *arguments: Any, pixels: int = 0) -> str:
    with pytest.raises(ImageRefusedError) as caught:
        process.run(job, arguments, pixels)
    return caught.value.code


@pytest.mark.parametrize("kind", READABLE)
def test_the_process_answers_as_the_function_does(kind: str, process: DecodingProcess) -> None:
    assert process.run("to_stored", (READABLE[kind],), 10**6) == to_stored(READABLE[kind])


def test_every_job_crosses_over_whole(process: DecodingProcess, contract: ModelContract) -> None:
    data = READABLE["png"]
    there, here = process.run("prepare", (data, contract), 10**6), prepare(data, contract)
    np.testing.assert_array_equal(there.canonical, here.canonical)
    assert there.validation == here.validation
    assert process.run("thumbnail", (data,), 10**6) == thumbnail(data)
    seen = process.run("canonical", (data, contract), 10**6)
    np.testing.assert_array_equal(seen.pixels, here.canonical)
    assert (seen.width, seen.height) == (160, 120)


def test_a_refusal_crosses_over_whole(process: DecodingProcess) -> None:
    with pytest.raises(ImageRefusedError) as caught:
        process.run("to_stored", (READABLE["png"][:-3000],), 0)
    with pytest.raises(ImageRefusedError) as expected:
        to_stored(READABLE["png"][:-3000])
    for part in ("code", "message", "fix", "template", "figures"):
        assert getattr(caught.value, part) == getattr(expected.value, part)


def test_a_fault_of_ours_is_an_error_that_quotes_nothing(process: DecodingProcess) -> None:
    with pytest.raises(RuntimeError, match=r"^decoding failed with TypeError$"):
        process.run("thumbnail", (READABLE["png"], "surplus"), 0)


def test_beyond_its_processor_time_a_picture_is_refused_and_the_next_is_read(
    process: DecodingProcess, allowed: Any
) -> None:
    allowed(Budget(cpu_s=0.001, memory=2**31, wall_s=300.0))
    assert _refusal(process, "to_stored", _large()) == "too_costly"
    allowed(AMPLE)
    assert process.run("to_stored", (_large(),), 0).width == 4000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="says nothing of memory here")
def test_beyond_its_memory_a_picture_is_refused_and_the_process_goes_on(
    process: DecodingProcess, allowed: Any
) -> None:
    allowed(AMPLE)
    process.run("thumbnail", (READABLE["png"],), 0)
    same = process._child
    allowed(Budget(cpu_s=100.0, memory=20 * 2**20, wall_s=300.0))
    assert _refusal(process, "to_stored", _large()) == "too_costly"
    allowed(AMPLE)
    assert process.run("to_stored", (_large(),), 0).width == 4000
    assert process._child is same


def test_the_largest_picture_has_a_budget_of_its_own_size() -> None:
    small, large = budget(90_000), budget(MAX_PIXELS)
    assert small.cpu_s < 1.5
    assert small.memory < 300 * 2**20
    assert 12 < large.cpu_s < 30
    assert 2**30 < large.memory < 1536 * 2**20


@pytest.mark.parametrize(("number", "tries"), [(signal.SIGSEGV, 2), (signal.SIGKILL, 2)])
def test_what_kills_the_process_twice_is_refused(
    number: int, tries: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "died"
    command = (sys.executable, "-c", DYING, str(log), str(int(number)))
    monkeypatch.setattr(decoding_process, "COMMAND", command)
    assert _refusal(DecodingProcess(), "to_stored", _large()) == "too_costly"
    assert log.read_text() == "x" * tries


def test_a_process_that_died_between_two_pictures_costs_none_of_them() -> None:
    process = DecodingProcess()
    process.run("thumbnail", (READABLE["png"],), 0)
    assert process._child is not None
    process._child.kill()
    process._child.wait()
    assert process.run("thumbnail", (READABLE["png"],), 0)
    process.close()


def test_a_process_that_gets_no_time_says_nothing_of_the_picture(
    monkeypatch: pytest.MonkeyPatch, allowed: Any
) -> None:
    idle = (sys.executable, "-c", "import signal; signal.pause()")
    monkeypatch.setattr(decoding_process, "COMMAND", idle)
    allowed(Budget(cpu_s=1.0, memory=2**31, wall_s=0.2))
    process = DecodingProcess()
    with pytest.raises(DecodersBusyError):
        process.run("to_stored", (_large(),), 0)
    assert process._child is None


def test_the_process_ends_with_its_parent() -> None:
    read, write = os.pipe()
    child = subprocess.Popen(COMMAND, cwd=ROOT, stdin=read, stdout=subprocess.DEVNULL)
    os.close(read)
    assert child.poll() is None
    os.close(write)  # as the system does when the parent dies
    assert child.wait(300) == 0


def test_the_process_knows_no_secret_and_no_website(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of the sessions")
    process = DecodingProcess()
    process.run("thumbnail", (READABLE["png"],), 0)
    assert process._child is not None
    environment = Path(f"/proc/{process._child.pid}/environ")
    if environment.exists():
        assert b"of the sessions" not in environment.read_bytes()
    process.close()
    listing = "import sys, diagnosis.core.decoding.child; print(sorted(sys.modules))"
    command = (sys.executable, "-c", listing)
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "'django" not in loaded
    assert "'diagnosis.core.decoding.child'" in loaded
