"""What the product writes on one machine is for its own user alone."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from diagnosis.core.files import sha256_of
from diagnosis.operations.backup.store import StoreChange, store_switch
from tests.product import KEY, ROOT, clean_environment, prepared_product
from tests.toolchain.conftest import Started, open_to_others
from webapp.private_files import OTHERS, close_to_others

DATABASE = ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm")


@pytest.mark.xdist_group("serve")
def test_records_are_private_and_those_of_an_earlier_version_are_closed(started: Started) -> None:
    assert started.first.open == []
    assert "Closed to other users" not in started.first.log
    assert len(started.opened) == 3
    for path in started.opened:
        assert f"Closed to other users of this machine: {path}\n" in started.again
    left = open_to_others(started.product.root / "var")
    assert not [name for name in DATABASE if name in left]


def test_so_are_files_that_commands_write(tmp_path: Path) -> None:
    root = prepared_product(tmp_path / "product")
    for command in (("draw_smear", "smear.jpg"), ("backup", str(tmp_path / "kept"))):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=root,
            env=clean_environment(SECRET_KEY=KEY),
            umask=0o022,  # that of most people
            check=True,
            capture_output=True,
        )
    assert open_to_others(root / "var") == []
    assert open_to_others(tmp_path / "kept") == []
    assert not (root / "smear.jpg").stat().st_mode & OTHERS


def test_what_is_missing_or_closed_is_passed_over(tmp_path: Path) -> None:
    closed, opened = tmp_path / "closed", tmp_path / "open"
    closed.touch(0o600)
    opened.touch(0o664)
    opened.chmod(0o664)
    assert close_to_others([tmp_path / "none", closed, opened]) == [opened]
    assert stat.S_IMODE(opened.stat().st_mode) == 0o600


def test_restored_models_are_read_by_a_model_server_of_another_user(
    tmp_path: Path, settings: Settings
) -> None:
    settings.MODEL_STORE = tmp_path / "serving/models"
    backup = tmp_path / "backup"
    live = "models/all_smear/live.json"
    (backup / live).parent.mkdir(parents=True)
    shutil.copy(ROOT / "serving" / live, backup / live)
    before = os.umask(0o077)
    try:
        store_switch(backup, {live: sha256_of(backup / live)}, StoreChange({}, {}, [live]))
        assert os.umask(0o077) == 0o077, "as it was"
    finally:
        os.umask(before)
    file = settings.MODEL_STORE / "all_smear/live.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755
