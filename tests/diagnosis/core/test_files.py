import os
import stat
from pathlib import Path

import pytest

from diagnosis.core.files import replacing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "live.json"
    path.write_bytes(b"old")
    return path


def test_readers_see_the_old_file_or_the_new_one(path: Path) -> None:
    beside = path.with_name(".new")
    beside.write_bytes(b"left by a kill, and longer")
    with replacing(path, beside) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["live.json"]


def test_what_fails_halfway_leaves_nothing(path: Path) -> None:
    def fails() -> None:
        with replacing(path, path.with_name(".new")) as file:
            file.write(b"ne")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["live.json"]


def test_a_private_file_is_private_from_the_first_byte(path: Path) -> None:
    beside = path.with_name(".new")
    with replacing(path, beside, mode=0o600):
        assert stat.S_IMODE(beside.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
