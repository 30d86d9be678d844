"""What a backup holds comes back, all of it or nothing."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError
from django.core.management.base import SystemCheckError
from django.db import connection, connections
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.core.files import sha256_of
from diagnosis.core.formats.decode import to_stored
from diagnosis.core.predictors.seal import check_seal
from diagnosis.core.state import Status
from diagnosis.fields.live_model import _current as read_live_versions
from diagnosis.models import Diagnosis
from diagnosis.operations.backup import restore
from diagnosis.operations.backup.folder import MANIFEST, SUMS
from diagnosis.operations.backup.marker import marker_path
from diagnosis.operations.checks import restore_has_ended
from diagnosis.storage.media import media_path, media_write
from patients.models import Patient
from patients.services import patient_create
from tests.diagnosis.made.pictures import smear_jpeg
from tests.diagnosis.made.site import (
    NAME,
    Site,
    add_field,
    command,
    files,
    promote,
    publish,
    state,
    wipe_database,
    without,
)
from tests.diagnosis.operations.restoring import checksums_again, refused, restore_from
from tests.product import ROOT
from webapp.accounts.tokens import token_make
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


# --- There and back ----------------------------------------------------------------------


def test_everything_comes_back_on_an_empty_machine(
    site: Site, store: Path, settings: Settings, tmp_path: Path
) -> None:
    before = state()
    assert {row.status for row in Diagnosis.objects.all()} == set(Status)
    printed = command("backup", str(tmp_path / "backup"))
    assert "1 patients, 6 diagnoses" in printed
    wipe_database()
    shutil.rmtree(settings.MEDIA_ROOT)
    shutil.rmtree(store.parent)

    printed = restore_from(tmp_path / "backup")
    assert "1 patients, 6 diagnoses" in printed
    after = state()
    assert without(after, "restore.made") == before
    assert "6 diagnoses checked, all agree" in command("check_integrity")
    for number in "12":
        check_seal(store / "all_smear" / number)
    assert not Session.objects.exists(), "nobody is signed in from before"
    # The trail says what came, and from where on it is new.
    restored = AuditEvent.objects.get(action="restore.made")
    assert restored.actor is None
    assert restored.target_id == str(restored.pk - 1)
    assert restored.detail["sha256"] == sha256_of(tmp_path / "backup" / SUMS)


def test_the_product_goes_on_with_what_was_restored(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the published model: an old record by its pages, a new diagnosis by the API."""
    settings.MODEL_STORE = tmp_path / "real/models"
    shutil.copytree(ROOT / "serving", tmp_path / "real")
    monkeypatch.setattr("diagnosis.fields.live_model._current", read_live_versions)
    old = add_field(site.actor, smear_jpeg(11), site.specimen)
    assert old.status == Status.SCREENED
    command("backup", str(tmp_path / "backup"))
    wipe_database()
    shutil.rmtree(settings.MEDIA_ROOT)
    shutil.rmtree(tmp_path / "real")
    restore_from(tmp_path / "backup")

    actor = User.objects.get(username="clinician")
    client = Client()
    client.force_login(actor)
    page = client.get(f"/diagnoses/{old.pk}")
    assert page.status_code == 200
    assert old.predicted_class in page.content.decode()
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {token_make(actor, actor=None)}")
    image = api.get(f"/api/diagnoses/{old.pk}/image")
    assert b"".join(image) == media_path(old.image_name).read_bytes()
    upload = SimpleUploadedFile("smear.jpg", smear_jpeg(12), "image/jpeg")
    answer = api.post("/api/diagnose", {"image": upload}, format="multipart")
    assert answer.status_code == 201, answer.content
    assert answer.json()["model"]["digest"] == old.model_digest
    assert "all agree" in command("check_integrity")


def test_what_came_after_the_backup_goes(site: Site, store: Path, backup: Path) -> None:
    before = without(state(), "backup.made")
    patient_create(actor=site.actor, medical_record_number="MRN-2", name="Later")
    later = add_field(site.actor, smear_jpeg(6), None)
    old = Diagnosis.objects.exclude(pk=later.pk).first()
    assert old
    media_path(old.image_name).write_bytes(b"damaged")
    shutil.rmtree(store / "all_smear/2")
    publish(2, b"another graph under the same number")
    publish(3)
    promote(3, previous=2)
    published_since = {name for name in files(store.parent) if "/3/" in name}

    restore_from(backup, "--replace")
    after = state()
    assert {name for name in after["models"] if "/3/" in name} == published_since
    after["models"] = {
        name: digest for name, digest in after["models"].items() if name not in published_since
    }
    assert without(after, "restore.made") == before


def test_nothing_goes_unasked(site: Site, store: Path, backup: Path) -> None:
    media_write(to_stored(smear_jpeg(6)))
    shutil.rmtree(store / "all_smear/2")
    publish(2, b"another graph")
    refused(
        backup,
        r"would remove for good: .*patients_patient 1.*media files that are not in the backup 1, "
        r"model all_smear/2 with other content\. Nothing was changed",
    )


def test_a_target_that_was_only_migrated_is_empty(site: Site, backup: Path) -> None:
    wipe_database()
    command("migrate", verbosity=0)
    assert "Restored" in restore_from(backup)


@pytest.mark.parametrize("damage", ["no database at all", b"SQLite format 3\0 and then nothing"])
def test_a_damaged_database_is_replaced(
    site: Site, backup: Path, damage: bytes | str, shared_database: str
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("another server's files")
    before = without(state(), "backup.made")
    path = Path(connection.settings_dict["NAME"])
    connections.close_all()
    path.write_bytes(damage if isinstance(damage, bytes) else damage.encode() * 400)
    with pytest.raises(CommandError, match="a database that cannot be read"):
        restore_from(backup)
    restore_from(backup, "--replace")
    assert without(state(), "restore.made") == before


# --- Not as it was made ------------------------------------------------------------------


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "database": (lambda b: _append(next(b.glob("database.*"))), r"database\.\w+ has changed"),
    "image": (lambda b: _cut(next(b.rglob("*.jpg"))), r"fields/.+\.jpg has changed"),
    "model": (lambda b: _append(b / "models/all_smear/2/saved_model.pb"), r"model\.pb has changed"),
    "live.json": (lambda b: _append(b / "models/all_smear/live.json"), "live.json has changed"),
    "models.config": (lambda b: _append(b / "models.config"), r"models\.config has changed"),
    "manifest": (lambda b: _append(b / MANIFEST), r"manifest\.json has changed"),
    "image gone": (lambda b: next(b.rglob("*.jpg")).unlink(), r"\.jpg is missing"),
    "file added": (lambda b: _append_new(b / "media/x.jpg"), r"media/x\.jpg does not belong"),
    "sums cut": (lambda b: _drop_last_line(b / SUMS), "does not belong to it"),
    "sums garbled": (lambda b: (b / SUMS).write_text("nonsense\n"), "SHA256SUMS is malformed"),
    "cut off": (lambda b: (b / SUMS).unlink(), "is no backup, or one that was cut off"),
    "no manifest": (lambda b: _without_manifest(b), r"manifest\.json is not listed"),
}


def _append_new(path: Path) -> None:
    path.write_bytes(b"")


def _drop_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def _without_manifest(backup: Path) -> None:
    (backup / MANIFEST).unlink()
    checksums_again(backup)


@pytest.mark.parametrize("part", TAMPERED)
def test_what_is_not_as_it_was_made_is_refused(backup: Path, part: str) -> None:
    tamper, because = TAMPERED[part]
    tamper(backup)
    refused(backup, because, "--replace")


def test_a_file_that_changes_while_it_is_restored(
    site: Site, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the check, before the copy: what was added is taken back."""
    shutil.rmtree(media_path("fields"))
    victim = sorted(backup.rglob("*.jpg"))[-1]
    check = restore._check_space

    def tamper(*args: Any) -> None:
        check(*args)
        _append(victim)

    monkeypatch.setattr(restore, "_check_space", tamper)
    refused(backup, "changed while it was read", "--replace")


# --- Not now -----------------------------------------------------------------------------


def test_not_while_the_product_runs(
    site: Site, backup: Path, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        monkeypatch.setattr("diagnosis.operations.backup.sqlite.WAIT_S", 0.1)
        other = sqlite3.connect(connection.settings_dict["NAME"])
        other.execute("SELECT COUNT(*) FROM auth_user").fetchall()
    else:
        monkeypatch.setattr("diagnosis.operations.backup.mysql.WAIT_S", 0.1)
        other = connection.copy("other")
        other.ensure_connection()
    try:
        refused(backup, r"is in use.*stop the product", "--replace")
    finally:
        other.close()
    restore_from(backup, "--replace")


def test_not_on_a_full_disk(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media_path("").joinpath("fields").rename(media_path("").with_name("elsewhere"))
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(restore.shutil, "disk_usage", lambda path: usage)
    refused(backup, r"has 0 MiB free, and the restore needs .*Nothing was changed", "--replace")


def test_a_disk_that_fills_up_meanwhile(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file does not fit: the first is taken back too."""
    shutil.rmtree(media_path("fields"))
    place, calls = restore.place_file, []

    def place_file(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise OSError(28, os.strerror(28))
        place(*args, **options)

    monkeypatch.setattr(restore, "place_file", place_file)
    refused(backup, "Nothing was restored: No space left on device; free some", "--replace")


def test_not_as_root_into_another_user_s_folders(
    backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    os.chown(media_path(""), owner, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refused(backup, f"belongs to user {owner}, and root runs this; run it as that", "--replace")


def test_a_folder_that_is_no_backup(site: Site, tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "is no backup, or one that was cut off", "--replace")


# --- Halfway -----------------------------------------------------------------------------


def test_a_database_that_fails_halfway_says_how_to_go_on(
    site: Site, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = without(state(), "backup.made")
    monkeypatch.setattr(restore, "store_switch", lambda *args: os.stat("/nowhere"))
    with pytest.raises(CommandError, match=r"stopped halfway: .*run the same command again"):
        restore_from(backup, "--replace")
    (problem,) = restore_has_ended()
    assert (problem.id, problem.hint) == (
        "diagnosis.E003",
        "Wait for it, or run the same `manage.py restore` again, which completes it.",
    )
    with pytest.raises(SystemCheckError, match=r"diagnosis\.E003"):
        command("check")  # as `serve` and `migrate` do first
    with pytest.raises(CommandError, match="A restore was cut off here"):
        command("backup", str(backup.with_name("of-a-half")))
    monkeypatch.undo()
    assert "Going on with the restore" in restore_from(backup), "without --replace"
    assert without(state(), "restore.made") == before
    assert restore_has_ended() == []


def test_another_backup_does_not_go_on_unasked(
    site: Site, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("backup", str(tmp_path / "other"))
    with monkeypatch.context() as patch:
        patch.setattr(restore, "store_switch", lambda *args: os.stat("/nowhere"))
        with pytest.raises(CommandError, match="stopped halfway"):
            restore_from(backup, "--replace")
    with pytest.raises(CommandError, match="The target is not empty"):
        restore_from(tmp_path / "other")
    assert marker_path().exists()
    restore_from(tmp_path / "other", "--replace")
    assert not marker_path().exists()
    assert Patient.objects.get().name == NAME
