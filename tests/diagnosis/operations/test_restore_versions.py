"""Backups of older and newer code."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from diagnosis.operations.backup import database
from tests.diagnosis.made.site import Site, command
from tests.diagnosis.operations.restoring import edit_manifest, refused, restore_from

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_older_backup_is_brought_up_to_date(site: Site, tmp_path: Path) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE django_session")
    command("backup", str(tmp_path / "backup"))
    restore_from(tmp_path / "backup", "--replace")
    assert "sessions.0001_initial" in database.applied_migrations()
    assert not Session.objects.exists()


def test_a_newer_backup_is_refused(site: Site, tmp_path: Path) -> None:
    MigrationRecorder(connection).record_applied("diagnosis", "0999_of_tomorrow")
    command("backup", str(tmp_path / "backup"))
    refused(
        tmp_path / "backup",
        r"made by newer code .*diagnosis\.0999_of_tomorrow.* Restore it with that version",
        "--replace",
    )


def test_tables_of_newer_code_go(site: Site, backup: Path) -> None:
    """Back to the version before: its backup is restored over what the newer code left."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY)")
        cursor.execute("INSERT INTO of_tomorrow VALUES (1)")
    refused(backup, "of_tomorrow 1")
    restore_from(backup, "--replace")
    assert "of_tomorrow" not in database.row_counts()


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"format": 2}, r"is of a newer format \(format 2, made by version 0\.1\.0\)"),
        ({"vendor": "Oracle"}, r"is of a Oracle database, and DATABASE_URL names one of"),
        ({"rows": None, "format": None}, "is malformed"),
    ],
)
def test_what_this_code_cannot_restore(backup: Path, changes: dict[str, Any], because: str) -> None:
    edit_manifest(backup, **changes)
    refused(backup, because, "--replace")
