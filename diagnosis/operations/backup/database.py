"""The database of a backup: which engine, what it holds, and what the code knows of it."""

from pathlib import Path
from typing import Protocol

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from diagnosis.operations.backup.folder import Say
from diagnosis.operations.backup.mysql import MySQL
from diagnosis.operations.backup.sqlite import SQLite

# What `migrate` itself fills, and who is signed in: no records.
FILLED_BY_MIGRATE = frozenset(
    {
        "auth_group",
        "auth_group_permissions",
        "auth_permission",
        "django_content_type",
        "django_migrations",
        "django_session",
    }
)


class Engine(Protocol):
    """How one kind of database is dumped and restored."""

    file_name: str  # of the dump

    def dump(self, target: Path) -> dict[str, int]:
        """Write a consistent dump; gives the number of rows of each table in it."""

    def check_ready(self) -> None:
        """Raise ``BackupError`` if a restore cannot begin now."""

    def space_at(self) -> Path | None:
        """The folder that has to take the database, if it is on this machine."""

    def stage(self, dump: Path, sha256: str) -> Path:
        """Prepare all that can be prepared without changing the database."""

    def switch(self, staged: Path, say: Say) -> None:
        """Replace the database, as far as the engine can in one step."""


def engine() -> Engine:
    """The engine of DATABASE_URL."""
    return SQLite() if connection.vendor == "sqlite" else MySQL()


def vendor() -> str:
    """``SQLite``, ``MariaDB`` or ``MySQL``."""
    return connection.display_name


def server_version() -> str:
    """Of the database, e.g. ``10.11.19``."""
    return ".".join(map(str, connection.get_database_version()))


def row_counts() -> dict[str, int]:
    """The number of rows of every table that is there, known to the code or not."""
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.table_names(cursor):
            if not table.startswith("sqlite_"):
                cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
                counts[table] = int(cursor.fetchone()[0])
    return counts


def records() -> dict[str, int]:
    """Rows of the tables that a restore would take something from."""
    return {
        table: count
        for table, count in row_counts().items()
        if count and table not in FILLED_BY_MIGRATE
    }


def applied_migrations() -> list[str]:
    """As ``app.name``, sorted."""
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted(f"{app}.{name}" for app, name in applied)


def unknown_migrations(applied: list[str]) -> list[str]:
    """Those of ``applied`` that this code does not have: newer code made them."""
    loader = MigrationLoader(None)
    known = set(loader.disk_migrations)
    for migration in loader.disk_migrations.values():
        known.update(migration.replaces)
    names = {f"{app}.{name}" for app, name in known}
    return [name for name in applied if name not in names]
