"""Dump and restore of MariaDB and MySQL, by the programs that come with them."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from django.db import connection, connections

from diagnosis.core.files import to_disk
from diagnosis.operations.backup.folder import SAY_EVERY_S, BackupError, Say
from diagnosis.operations.checks import database_holds_unicode

WAIT_S = 5.0
DUMP_OPTIONS = (
    "--single-transaction",  # one snapshot, and writers are not held up
    "--skip-lock-tables",
    "--hex-blob",
    "--skip-triggers",  # `migrate` makes them; in a dump they name the user who made them
    "--no-tablespaces",  # would need the PROCESS privilege
    "--skip-dump-date",
    # A row a line: its lines can be counted, and no statement outgrows a server's limits.
    "--skip-extended-insert",
    "--no-autocommit",
    "--skip-add-locks",
)
_TABLE = re.compile(rb"(CREATE TABLE|INSERT INTO) `([^`]+)`")
_LAST_LINE = b"-- Dump completed"


class MySQL:
    """See ``database.Engine``."""

    file_name = "database.sql"

    def dump(self, target: Path) -> dict[str, int]:
        """A dump of one consistent snapshot.

        Raises:
            BackupError: the program is missing, failed, or was cut off.
        """
        rows: dict[str, int] = {}
        last = b""
        command = (_program("mariadb-dump", "mysqldump"), *DUMP_OPTIONS)
        with _client(command, stdout=subprocess.PIPE) as child, target.open("wb") as file:
            assert child.stdout  # noqa: S101 - for the type checker
            for line in child.stdout:
                if found := _TABLE.match(line):
                    name = found[2].decode()
                    rows[name] = rows.get(name, 0) + (found[1] == b"INSERT INTO")
                file.write(line)
                last = line if line.strip() else last
            to_disk(file)
        if not last.startswith(_LAST_LINE):
            raise BackupError("The database dump ended too early; try again.")
        return rows

    def check_ready(self) -> None:
        """The server lists the connections of the product.

        Raises:
            BackupError: the product runs, the program to restore with is missing, or the
                database cannot hold all of Unicode.
        """
        _program("mariadb", "mysql")
        for problem in database_holds_unicode(["default"]):
            raise BackupError(f"{problem.msg} {problem.hint}")
        deadline = time.monotonic() + WAIT_S  # what was just killed takes a moment to vanish
        while others := _other_connections():
            if time.monotonic() > deadline:
                raise BackupError(
                    f"The database is in use (connections from {', '.join(others[:5])}); stop "
                    "the product (web and worker) and whatever else is connected, and try again."
                )
            time.sleep(0.2)

    def space_at(self) -> Path | None:
        """Unknown: it is the server's."""
        return None

    def stage(self, dump: Path, sha256: str) -> Path:
        """Nothing to prepare."""
        return dump

    def switch(self, staged: Path, say: Say) -> None:
        """Drop every table and run the dump; cut in between, the database is unusable until
        this runs again.

        Fed through a pipe, so that the program ends when this process is killed.

        Raises:
            BackupError: the program failed.
        """
        _drop_all_tables()
        connections.close_all()
        size, done, said = staged.stat().st_size, 0, time.monotonic()
        command = (_program("mariadb", "mysql"),)
        with _client(command, stdin=subprocess.PIPE) as child, staged.open("rb") as dump:
            assert child.stdin  # noqa: S101 - for the type checker
            for line in dump:
                child.stdin.write(line)
                done += len(line)
                if time.monotonic() - said > SAY_EVERY_S:
                    said = time.monotonic()
                    say(f"Restored {done / size:.0%} of the database …")
            child.stdin.close()


def _program(*names: str) -> str:
    """The first of the programs that is there.

    Raises:
        BackupError: none is.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    raise BackupError(
        f"The program {' or '.join(names)} is missing; install the database's client programs "
        "(Debian: mariadb-client or default-mysql-client)."
    )


@contextmanager
def _client(
    command: tuple[str, ...], stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a client program on the database while the context is open.

    Raises:
        BackupError: it failed; with its own words.
    """
    program, *options = command
    name = connection.settings_dict["NAME"]
    with (
        _option_file() as login,
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(  # noqa: S603 - no shell; the program is looked up by us
            [program, f"--defaults-file={login}", *options, name],
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            env={},  # ours has DATABASE_URL with the password in it
        ) as child,
    ):
        try:
            yield child
        except BrokenPipeError:  # it ended early, and its exit status says so
            with suppress(BrokenPipeError):
                child.stdin.close()  # type: ignore[union-attr]
        except BaseException:
            child.kill()
            raise
        if child.wait() != 0:
            raise BackupError(f"{Path(program).name} failed: {_last_line(errors)}")


@contextmanager
def _option_file() -> Iterator[Path]:
    """Where and as whom to connect, in a file for this user alone: arguments and environment
    can be seen by others."""
    database = connection.settings_dict
    host = str(database["HOST"])
    client = {
        "user": database["USER"],
        "password": database["PASSWORD"],
        "socket" if host.startswith("/") else "host": host or "localhost",
        "port": database["PORT"] or 3306,
        "default-character-set": "utf8mb4",
        "max-allowed-packet": "1G",
    }
    options = database.get("OPTIONS", {})
    lines = [f"!include {options['read_default_file']}"] if "read_default_file" in options else []
    lines += ["[client]", *(f"{name}={_quoted(value)}" for name, value in client.items())]
    lines += _encryption(options)
    # Of MySQL's mysqldump alone; MariaDB's passes over what is `loose`.
    lines += ["[mysqldump]", "loose-set-gtid-purged=OFF", "loose-column-statistics=0"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "client.cnf"
        path.touch(0o600)
        path.write_text("\n".join(lines) + "\n", "utf-8")
        yield path


def _encryption(options: Mapping[str, Any]) -> list[str]:
    """How the product's own connections are encrypted, in the words of either family of programs:
    each passes over what is `loose` and the other's."""
    lines = [f"ssl-{name}={_quoted(path)}" for name, path in options.get("ssl", {}).items()]
    mode = options.get("ssl_mode")
    if mode is None:
        return lines
    verify = int(mode.startswith("VERIFY"))
    return [
        *lines,
        f"loose-ssl-mode={mode}",
        f"loose-ssl={int(mode != 'DISABLED')}",
        f"loose-ssl-verify-server-cert={verify}",
    ]


def _quoted(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it did not say why"


def _other_connections() -> list[str]:
    """Whence others are connected to this database, as far as this user may see."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT host FROM information_schema.processlist"
            " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        return [str(host) for (host,) in cursor.fetchall()]


def _drop_all_tables() -> None:
    """Also those that only newer code knows: the dump's migrations may make them again."""
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(name)}")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
