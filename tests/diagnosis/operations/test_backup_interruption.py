"""Backup and restore can be cut at any point: no half of a backup, no half of a restore."""

import os
import shutil
from pathlib import Path

import pytest
from django.db import connection, connections
from pytest_django import Settings

from diagnosis.models import Diagnosis
from diagnosis.operations.backup.folder import PART
from diagnosis.operations.backup.marker import marker_path
from diagnosis.storage.media import media_path
from tests.diagnosis.killed import backup as killed_backup
from tests.diagnosis.killed.backup import BACKUP_STEPS, FIRST_WITH_MARKER, RESTORE_STEPS
from tests.diagnosis.killed.forked import killed_in
from tests.diagnosis.made.pictures import smear_jpeg
from tests.diagnosis.made.site import (
    Site,
    add_field,
    command,
    files,
    promote,
    publish,
    rows,
    state,
    without,
)

pytestmark = pytest.mark.django_db(transaction=True)


def _killed_at(step: str, folder: Path, database: str, store: Path) -> None:
    connections.close_all()  # the restore would find the database in use
    killed_in(
        killed_backup.main,
        step,
        str(folder),
        database=database,
        MEDIA_ROOT=media_path(""),
        MODEL_STORE=store,
    )


@pytest.mark.parametrize("step", BACKUP_STEPS)
def test_a_killed_backup_is_none(
    step: str, site: Site, shared_database: str, store: Path, tmp_path: Path
) -> None:
    before = state()
    (tmp_path / "backups").mkdir()
    target = tmp_path / "backups/first"
    _killed_at(step, target, shared_database, store)
    (part,) = os.listdir(target.parent)
    assert part.startswith(PART), "nothing that looks like a backup"
    assert state() == before
    command("backup", str(target))
    assert os.listdir(target.parent) == [target.name], "what the kill left is gone"
    assert "Restored" in command("restore", str(target), "--replace")


@pytest.mark.parametrize("step", RESTORE_STEPS)
def test_a_killed_restore_is_completed_by_the_next(
    step: str,
    site: Site,
    shared_database: str,
    store: Path,
    settings: Settings,
    tmp_path: Path,
) -> None:
    wanted = state()
    command("backup", str(tmp_path / "backup"))
    # What the restore will replace: other records, another version 2, version 1 lost.
    add_field(site.actor, smear_jpeg(6), None)
    for path in sorted(media_path("fields").rglob("*.jpg"))[:4]:
        path.unlink()
    for number in "12":
        shutil.rmtree(store / "all_smear" / number)
    publish(2, b"another graph under the same number")
    publish(3)
    promote(3, previous=2)
    old = rows()
    old_media = files(Path(settings.MEDIA_ROOT))
    old_live = (store / "all_smear/live.json").read_bytes()

    _killed_at(step, tmp_path / "backup", shared_database, store)
    again: tuple[str, ...] = ()
    if RESTORE_STEPS.index(step) < FIRST_WITH_MARKER:
        assert not marker_path().exists()
        assert rows() == old
        assert files(Path(settings.MEDIA_ROOT)).items() >= old_media.items()
        assert (store / "all_smear/live.json").read_bytes() == old_live
        again = ("--replace",)
    else:
        assert marker_path().exists()
    if step == "within the database":
        half = connection.vendor != "sqlite"  # which replaces the whole in one step
        assert (rows() != old) is half
    if RESTORE_STEPS.index(step) <= RESTORE_STEPS.index("before live.json"):
        assert (store / "all_smear/live.json").read_bytes() == old_live

    command("restore", str(tmp_path / "backup"), *again)
    found = without(state(), "restore.made")
    found["models"] = {n: digest for n, digest in found["models"].items() if "/3/" not in n}
    assert found == wanted
    assert f"{Diagnosis.objects.count()} diagnoses checked, all agree" in command("check_integrity")
