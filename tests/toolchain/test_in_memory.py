"""Where a run's temporary files lie."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.in_memory import ROOM, has_room

SHOW = "import os, sys, tempfile; print(tempfile.mkdtemp()); sys.exit(3)"


def _meminfo(folder: Path, available: int) -> Path:
    file = folder / "meminfo"
    file.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available >> 10} kB\n", "ascii")
    return file


@pytest.mark.parametrize(("available", "room"), [(ROOM, True), (ROOM - 1024, False)])
def test_memory_is_used_where_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, room: bool
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": ROOM}))
    assert has_room(tmp_path, _meminfo(tmp_path, available)) is room


def test_no_such_folder_has_no_room(tmp_path: Path) -> None:
    assert not has_room(tmp_path / "missing", _meminfo(tmp_path, 10 * ROOM))


def test_the_files_go_with_the_command_whose_exit_code_stays() -> None:
    command = [sys.executable, "tests/in_memory.py", sys.executable, "-c", SHOW]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 3
    assert Path(ran.stdout.strip()).parent.name.startswith("tests-")
    assert not Path(ran.stdout.strip()).exists()
