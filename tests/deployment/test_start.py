"""serving/start.sh: what of models.config reaches TensorFlow Serving."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from diagnosis.core.predictors.seal import SEAL, seal
from export.publishing.registry import CONTAINER_STORE, models_config
from tests.product import ROOT
from tests.waiting import WITHIN_S, wait_until

NAME = "all_smear"
# The server is not root, who may read everything.
WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all"] if os.getuid() == 0 else []


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model with three sealed versions, all named in ``models.config``."""
    folder = tmp_path / NAME
    for number in "123":
        (folder / number / "assets.extra").mkdir(parents=True)
        (folder / number / "variables").mkdir()
        (folder / number / "saved_model.pb").write_text(number)
        (folder / number / "variables/variables.index").write_text(number)
        seal(folder / number)
    promote(folder)
    return folder


def promote(folder: Path) -> None:
    """Replace ``models.config`` as ``promote`` does, with the same content."""
    text = models_config(NAME, [1, 2, 3]).replace(CONTAINER_STORE, str(folder.parent))
    beside = folder.parent / "new.config"
    beside.write_text(text)
    beside.rename(folder.parent / "models.config")


def start(folder: Path, *command: str) -> "subprocess.Popen[str]":
    """``command`` through the script; its own copy of the configuration is ``own.config``."""
    script = ["bash", str(ROOT / "serving/start.sh")]
    files = [str(folder.parent / name) for name in ("models.config", "own.config")]
    return subprocess.Popen(
        [*WITHOUT_PRIVILEGES, *script, *files, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def copied(folder: Path) -> tuple[str, str]:
    """What a command finds as its configuration, and what the script says."""
    server = start(folder, "cat", str(folder.parent / "own.config"))
    server.wait(WITHIN_S)  # the script sees that it is gone once somebody has noticed
    return server.communicate(timeout=WITHIN_S)


def told(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"versions: (\d+)", text)]


@pytest.fixture
def _no_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script looks again at once."""
    sleep = tmp_path / "bin/sleep"
    sleep.parent.mkdir()
    sleep.write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 0.02\n")
    sleep.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sleep.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("_no_pause")
def test_sound_versions_are_all_loaded(model: Path) -> None:
    output, said = copied(model)
    assert output == (model.parent / "models.config").read_text()
    assert said == ""


@pytest.mark.usefixtures("_no_pause")
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: folder.chmod(0), "Permission denied"),
        (lambda folder: (folder / "variables").chmod(0), "variables/variables.index: FAILED open"),
        (lambda folder: (folder / "saved_model.pb").chmod(0), "saved_model.pb: FAILED open"),
        (lambda folder: (folder / "saved_model.pb").unlink(), "saved_model.pb: FAILED open"),
        (lambda folder: (folder / "saved_model.pb").write_text("4"), "saved_model.pb: FAILED"),
        (lambda folder: (folder / SEAL).unlink(), "SHA256SUMS: No such file"),
        (shutil.rmtree, "No such file"),
    ],
)
def test_what_the_server_could_not_load_is_left_out(
    model: Path, damage: Callable[[Path], object], says: str
) -> None:
    damage(model / "2")
    output, said = copied(model)
    assert told(output) == [1, 3]
    assert len(output.splitlines()) + 1 == len(
        (model.parent / "models.config").read_text().splitlines()
    )
    (line,) = said.splitlines()
    assert line.startswith("start.sh: version 2 is left out: ")
    assert says in line
    if (model / "2").exists():
        (model / "2").chmod(0o700)


@pytest.mark.usefixtures("_no_pause")
def test_where_nothing_is_sound_the_server_is_told_all(model: Path) -> None:
    for number in "123":
        (model / number / "saved_model.pb").unlink()
    output, said = copied(model)
    assert told(output) == [1, 2, 3]
    assert len(said.splitlines()) == 3


def test_promote_is_heard_and_the_end_of_the_server_ends_it(
    model: Path, request: pytest.FixtureRequest
) -> None:
    """A version that was mended is loaded after the next command that writes ``models.config``."""
    sleep = str(shutil.which("sleep"))
    request.getfixturevalue("_no_pause")
    own = model.parent / "own.config"
    (model / "3/saved_model.pb").unlink()
    with start(model, sleep, str(WITHIN_S)) as server:
        wait_until(own.exists)
        assert told(own.read_text()) == [1, 2]
        (model / "3/saved_model.pb").write_text("3")
        promote(model)
        wait_until(lambda: told(own.read_text()) == [1, 2, 3])
        (model / "1/saved_model.pb").unlink()
        promote(model)
        wait_until(lambda: told(own.read_text()) == [2, 3])
        server.kill()
        server.wait(WITHIN_S)
        _, said = server.communicate(timeout=WITHIN_S)  # until nobody holds the pipe
    assert [line.split()[2] for line in said.splitlines()] == ["3", "1"]
