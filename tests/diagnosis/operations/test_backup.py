"""A backup is complete, private, and taken while the product runs; otherwise there is none."""

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from diagnosis.core.files import sha256_of
from diagnosis.core.formats.decode import to_stored
from diagnosis.models import Diagnosis, Report
from diagnosis.operations.backup import make
from diagnosis.operations.backup.folder import MANIFEST, PART, SUMS
from diagnosis.storage.media import media_path, media_write
from tests.diagnosis.made.pictures import smear_jpeg
from tests.diagnosis.made.site import Site, add_field, command, files, wipe_database
from tests.product import ROOT
from tests.waiting import WITHIN_S
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the backup will be, in a folder of its own."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups/first"


def _refused(target: Path, because: str, *options: str) -> None:
    """No backup, not even a part of one, and no word of one in the audit trail."""
    before = sorted(os.listdir(target.parent))
    with pytest.raises(CommandError, match=because):
        command("backup", str(target), *options)
    assert sorted(os.listdir(target.parent)) == before
    assert not AuditEvent.objects.filter(action="backup.made").exists()


# --- What is in it -----------------------------------------------------------------------


def test_it_says_what_it_holds(site: Site, target: Path) -> None:
    newest = AuditEvent.objects.order_by("pk").last()
    printed = command("backup", str(target))
    manifest = json.loads((target / MANIFEST).read_text())
    assert manifest["vendor"] == connection.display_name
    assert manifest["product"] == "0.1.0"
    assert manifest["rows"]["diagnosis_diagnosis"] == Diagnosis.objects.count() == 6
    assert manifest["rows"]["patients_patient"] == 1
    assert manifest["rows"]["accounts_apitoken"] == 0
    assert "diagnosis.0001_initial" in manifest["migrations"]
    assert manifest["files"] == {"media": 6 + 1, "models": 7}, "six images and a report"
    assert manifest["problems"] == []
    # sha256sum can check it without the product.
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=target, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    assert len(checked.stdout.splitlines()) == len(files(target)) - 1
    # The trail names it, and how far the saved trail reaches.
    event = AuditEvent.objects.get(action="backup.made")
    assert newest
    assert (event.actor, event.target_id) == (None, str(newest.pk))
    assert event.detail == {"sha256": sha256_of(target / SUMS), "problems": 0}
    assert event.detail["sha256"] in printed


def test_only_its_owner_reads_it(site: Site, target: Path) -> None:
    before = os.umask(0o022)
    try:
        command("backup", str(target))
        assert os.umask(0o022) == 0o022, "as it was"
    finally:
        os.umask(before)
    for path in (target, *target.rglob("*")):
        allowed = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == allowed, path


def test_an_empty_site_has_a_backup_too(
    shared_database: str, store: Path, target: Path, settings: Settings
) -> None:
    settings.MODEL_STORE = store.parent / "none yet"
    command("backup", str(target))
    assert json.loads((target / MANIFEST).read_text())["files"] == {"media": 0, "models": 0}
    wipe_database()
    assert "Restored" in command("restore", str(target))


def test_unfinished_work_of_others_is_left_out(site: Site, store: Path, target: Path) -> None:
    media_path("fields/.writing-1").write_bytes(b"half")
    (store / "all_smear/.live.json.new").write_bytes(b"half")
    (store / "all_smear/.3").mkdir()
    (store / "all_smear/.3/saved_model.pb").write_bytes(b"half")
    command("backup", str(target))
    assert not [name for name in files(target) if "/." in name]


def test_what_a_later_backup_shares_with_an_earlier_one_is_linked(site: Site, target: Path) -> None:
    command("backup", str(target))
    add_field(site.actor, smear_jpeg(6), None)
    damaged = next(target.rglob("*.jpg"))
    damaged.write_bytes(b"damaged")
    second = target.with_name("second")
    command("backup", str(second), "--link", str(target))
    assert "Restored" in command("restore", str(second), "--replace")
    names = [name for name in files(second) if name.startswith("media/")]
    links = [name for name in names if (second / name).stat().st_nlink == 2]
    assert len(names) == 7 + 1
    assert len(links) == 5 + 1, "neither what is new nor what is damaged"
    with pytest.raises(CommandError, match="nowhere is not a folder"):
        command("backup", str(target.with_name("third")), "--link", "nowhere")


def test_it_waits_for_a_promotion(
    site: Site, store: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who promotes holds the model's folder; it is done when the backup asks for the folder."""
    folder = store / "all_smear"
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    live = b'{"stable": 1, "canary": null, "previous": null}\n'
    (folder / "live.json").write_bytes(b"half a promotion")
    flock, refused = fcntl.flock, list[int]()

    def ask(descriptor: int, flags: int) -> None:
        if not refused and os.path.samestat(os.fstat(descriptor), folder.stat()):
            with pytest.raises(BlockingIOError):
                flock(descriptor, flags | fcntl.LOCK_NB)
            refused.append(descriptor)
            (folder / "live.json").write_bytes(live)
            os.close(handle)
        flock(descriptor, flags)

    monkeypatch.setattr(fcntl, "flock", ask)
    command("backup", str(target))
    assert refused, "it asked nobody"
    assert (target / "models/all_smear/live.json").read_bytes() == live


# --- While others write ------------------------------------------------------------------


@contextmanager
def _uploads(database: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uploads while the context is open."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.diagnosis.made.uploading"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database, "MEDIA_ROOT": str(media_path(""))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process
            process.stdin.close()
            process.stdout.read()
            assert process.wait(WITHIN_S) == 0
        finally:
            process.kill()


def test_a_backup_while_others_upload_restores_to_what_agrees(
    site: Site, shared_database: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _uploads(shared_database) as uploads:
        assert uploads.stdout
        seen = [uploads.stdout.readline() for _ in range(3)]
        copy_media = make._copy_media

        def after_more_uploads(copy: Any) -> None:
            seen.extend(uploads.stdout.readline() for _ in range(5))  # type: ignore[union-attr]
            copy_media(copy)

        monkeypatch.setattr(make, "_copy_media", after_more_uploads)
        command("backup", str(target))
        assert all(line.strip() for line in seen)
    manifest = json.loads((target / MANIFEST).read_text())
    saved = manifest["rows"]["diagnosis_diagnosis"]
    assert 6 + 3 <= saved < 6 + len(seen) <= Diagnosis.objects.count()
    assert manifest["files"]["media"] > saved + 1, "the copy holds what came after the dump"
    assert manifest["problems"] == []

    command("restore", str(target), "--replace")
    assert Diagnosis.objects.count() == saved
    assert f"{saved} diagnoses checked, all agree" in command("check_integrity")
    assert len(files(media_path(""))) == saved + 1, "and the report of the signed case"


def test_a_file_that_clean_media_removes_meanwhile_is_no_problem(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray, _ = media_write(to_stored(smear_jpeg(6)))
    add, copied = make._Copy.add, []

    def clean_up_first(copy: Any, source: Path, name: str) -> None:
        media_path(stray).unlink(missing_ok=True)
        copied.append(name)
        add(copy, source, name)

    monkeypatch.setattr(make._Copy, "add", clean_up_first)
    command("backup", str(target))
    assert not (target / "media" / stray).exists()


def test_a_file_that_clean_media_moved_aside_is_waited_for(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media_path(Diagnosis.objects.earliest("pk").image_name)
    aside = path.with_name(f".removing-{path.name}")
    path.rename(aside)
    monkeypatch.setattr(make.time, "sleep", lambda seconds: aside.rename(path))
    command("backup", str(target))
    assert (target / "media/fields" / path.parent.name / path.name).is_file()


# --- What was wrong already --------------------------------------------------------------


def test_what_is_damaged_already_is_said_and_the_rest_saved(
    site: Site, store: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "STEPS_ASIDE_S", 0.0)
    gone, changed = Diagnosis.objects.order_by("pk")[:2]
    media_path(gone.image_name).unlink()
    media_path(changed.image_name).write_bytes(b"changed")
    report = Report.objects.get()
    media_path(report.pdf_name).unlink()
    (store / "all_smear/1/saved_model.pb").write_bytes(b"changed")
    with pytest.raises(CommandError, match="is complete, but 4 files were missing or damaged"):
        command("backup", str(target))
    problems = json.loads((target / MANIFEST).read_text())["problems"]
    assert set(problems) == {
        f"media file {gone.image_name} is missing",
        f"media file {changed.image_name} has changed since it was stored",
        f"media file {report.pdf_name} is missing",
        "model all_smear/1 does not match its seal",
    }
    with pytest.raises(CommandError, match=r"3 problems found .* the backup knew of 4"):
        command("restore", str(target), "--replace")
    assert Diagnosis.objects.count() == 6


# --- No backup ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_nothing_is_overwritten(site: Site, target: Path, kind: str) -> None:
    match kind:
        case "folder":
            target.mkdir()
        case "file":
            target.write_text("mine")
        case _:
            target.symlink_to("nowhere")
    _refused(target, "exists, and no backup is overwritten; name a new folder")


def test_a_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nowhere is not a folder; make it first"):
        command("backup", str(tmp_path / "nowhere/first"))


@pytest.mark.parametrize("name", ["MEDIA_ROOT", "MODEL_STORE"])
def test_a_backup_is_no_part_of_what_is_backed_up(
    site: Site, settings: Settings, target: Path, name: str
) -> None:
    inside = Path(getattr(settings, name)) / "backup"
    _refused(inside, f"lies in {name}; keep backups elsewhere")
    command("backup", str(target))
    target.rename(inside)
    with pytest.raises(CommandError, match=f"lies in {name}"):
        command("restore", str(inside), "--replace")


@pytest.mark.parametrize(
    ("number", "because"),
    [
        (errno.ENOSPC, "No backup was made: No space left on device; free some space"),
        (errno.EACCES, "Permission denied; run this as the product's own user"),
    ],
)
def test_a_disk_that_fills_up_leaves_nothing(
    site: Site, target: Path, number: int, because: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(make, "write_whole", refuse)
    _refused(target, because)


def test_a_media_folder_that_cannot_be_read(
    site: Site, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads everything, so the system's answer is put in its mouth."""
    scandir = os.scandir

    def deny(path: Any) -> Any:
        if str(path) == str(media_path("fields")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(CommandError, match=r"media/fields: Permission denied; run this as"):
        command("backup", str(target))
    assert os.listdir(target.parent) == []


def test_a_migration_meanwhile(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def migrate(copy: Any) -> None:
        raise AssertionError("the dump is not consistent with anything")

    engine = make.database.engine()
    dump = type(engine).dump

    def dump_and_migrate(self: Any, path: Path) -> dict[str, int]:
        counts = dump(self, path)
        MigrationRecorder(connection).record_applied("patients", "0002_meanwhile")
        return counts

    monkeypatch.setattr(type(engine), "dump", dump_and_migrate)
    monkeypatch.setattr(make, "_copy_media", migrate)
    _refused(target, "was migrated during the backup; make it again")
    MigrationRecorder(connection).record_unapplied("patients", "0002_meanwhile")


def test_what_a_killed_backup_left_goes_and_what_a_running_one_writes_stays(
    site: Site, target: Path
) -> None:
    dead, running = (target.parent / f"{PART}{name}" for name in ("dead", "running"))
    for part in (dead, running):
        part.mkdir()
        (part / "database.sql").write_text("patients")
    handle = os.open(running, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        command("backup", str(target))
    finally:
        os.close(handle)
    assert sorted(os.listdir(target.parent)) == [running.name, target.name]
