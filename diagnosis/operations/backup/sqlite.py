"""Dump and restore of SQLite: a copy of the file, taken while others write."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from django.db import connection, connections

from diagnosis.core.files import sync_folder
from diagnosis.operations.backup.folder import BackupError, Say, place_file

WAIT_S = 2.0


class SQLite:
    """See ``database.Engine``."""

    file_name = "database.sqlite3"

    def dump(self, target: Path) -> dict[str, int]:
        """By SQLite's own backup interface: one snapshot, and writers are not held up.

        Raises:
            BackupError: the database is damaged.
        """
        connection.ensure_connection()
        with closing(sqlite3.connect(target)) as copy:
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal and -shm
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise BackupError(
                    f"The database is damaged ({' '.join(verdict.split())}); restore an earlier "
                    "backup, or rescue what is left with sqlite3's `.recover`."
                )
            tables = copy.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            return {
                name: copy.execute(f'SELECT COUNT(*) FROM "{name}"').fetchone()[0]  # noqa: S608
                for (name,) in tables
            }

    def check_ready(self) -> None:
        """Every process of the product keeps the file open, and the journal's mode can change
        only when nobody else does. Afterwards there is no write-ahead log either.

        Raises:
            BackupError: the product runs.
        """
        connections.close_all()
        if not _path().exists():
            return
        with closing(sqlite3.connect(_path(), timeout=WAIT_S, isolation_level=None)) as target:
            try:
                target.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                    raise BackupError(
                        f"The database {_path()} is in use; stop the product (web and worker), "
                        "and try again."
                    ) from error
                # Damaged: that is what a restore is for.

    def space_at(self) -> Path | None:
        """The folder of the database."""
        return _path().parent

    def stage(self, dump: Path, sha256: str) -> Path:
        """Beside the database."""
        staged = _path().with_name(f".{_path().name}.staged")
        place_file(dump, staged, sha256, mode=0o600)
        if _path().exists():
            staged.chmod(stat.S_IMODE(_path().stat().st_mode))
        return staged

    def switch(self, staged: Path, say: Say) -> None:
        """One rename: the old database or the new one."""
        connections.close_all()
        for suffix in ("-wal", "-shm", "-journal"):  # a damaged database may have kept its own
            Path(f"{_path()}{suffix}").unlink(missing_ok=True)
        os.replace(staged, _path())
        sync_folder(_path().parent)


def _path() -> Path:
    return Path(connection.settings_dict["NAME"])
