"""The databases' own means of dumping, and what they must not show."""

import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection, connections

from diagnosis.operations.backup import mysql
from diagnosis.operations.backup.folder import BackupError
from tests.diagnosis.made.site import Site, command

pytestmark = pytest.mark.django_db(transaction=True)


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackupError, match="mariadb-dump or mysqldump is missing; in"):
        mysql._program("mariadb-dump", "mysqldump")


def test_the_password_is_in_a_private_file_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    password = "a\"b\\n'#c;d e"
    where = {"HOST": "db", "PORT": "", "USER": "portal", "PASSWORD": password, "NAME": "portal"}
    monkeypatch.setattr(mysql, "connection", SimpleNamespace(settings_dict=where))
    seen = {}

    class Program:
        def __init__(self, command: list[str], **options: Any) -> None:
            seen.update(command=command, env=options.get("env"))
            path = Path(command[1].removeprefix("--defaults-file="))
            seen.update(mode=stat.S_IMODE(path.stat().st_mode), path=path)
            printed = subprocess.run(
                ["my_print_defaults", f"--defaults-file={path}", "client"],
                capture_output=True,
                text=True,
                check=True,
            )
            seen["read"] = printed.stdout.splitlines()

        def __enter__(self) -> "Program":
            return self

        def __exit__(self, *error: object) -> None: ...

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(
        mysql, "subprocess", SimpleNamespace(Popen=Program, DEVNULL=subprocess.DEVNULL)
    )
    with mysql._client(("mariadb-dump",)):
        pass
    assert f"--password={password}" in seen["read"]
    assert {"--host=db", "--port=3306", "--user=portal"} <= set(seen["read"])
    assert not [word for word in seen["command"] if "b\\n" in word]
    assert seen["env"] == {}, "DATABASE_URL holds it too"
    assert seen["mode"] == 0o600
    assert not seen["path"].exists(), "gone when the program has ended"


def test_a_program_s_own_words_are_passed_on(site: Site, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("MariaDB's programs")
    program = mysql._program("mariadb-dump")
    with (
        pytest.raises(BackupError, match=r"mariadb-dump failed: .*unknown option"),
        mysql._client((program, "--nonsense")),
    ):
        pass


def test_a_damaged_sqlite_database_is_no_backup(site: Site, tmp_path: Path) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's own check")
    path = Path(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.execute("SELECT rootpage FROM sqlite_master WHERE name = 'audit_target'")
        (page,) = cursor.fetchone()
        cursor.execute("PRAGMA page_size")
        (size,) = cursor.fetchone()
    connections.close_all()  # it would remember the page
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(CommandError, match=r"The database is damaged .* restore an earlier backup"):
        command("backup", str(tmp_path / "backup"))
    assert not (tmp_path / "backup").exists()
