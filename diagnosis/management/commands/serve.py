"""``manage.py serve``: the whole product on one machine, in one foreground process."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from diagnosis.management.commands.demo_user import USERNAME
from diagnosis.tasks import demonstration_order
from webapp.private_files import close_to_others

HOST = "127.0.0.1"
STOP_WITHIN_S = 15.0  # above gunicorn's graceful timeout
AT_ONCE_S = 10.0  # who lived less has died at once
GIVE_UP_AFTER = 5  # deaths at once, one after the other
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class _StopAsked(BaseException):
    """A signal asked this process to end; as for KeyboardInterrupt, nobody else may catch it."""


class Command(BaseCommand):
    """Prepares database and static files, then keeps gunicorn and the worker running."""

    help = "Serve portal, API and admin on 127.0.0.1 with the worker beside them."

    def handle(self, **options: Any) -> None:
        """Exit 0 when asked to stop, 1 when the web server or the worker cannot be started."""
        _refuse_taken(settings.PORT)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays nohup
                signal.signal(number, _stop_asked)
        shared = tempfile.TemporaryDirectory(prefix="leukemia-metrics-")
        with contextlib.suppress(_StopAsked), shared as folder:
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)  # webapp.telemetry.metrics
            self._serve()

    def _serve(self) -> None:
        self._close_files()
        self._prepare_database()
        self._prepare_static()
        self.stdout.write(f"Starting on http://{HOST}:{settings.PORT} (stop with Ctrl-C)")
        self.stdout.flush()
        gunicorn = ("gunicorn", "-c", "python:webapp.gunicorn_config")
        where = (f"--bind={HOST}:{settings.PORT}", f"--workers={settings.WEB_CONCURRENCY}")
        parts = [
            _Part("web server", (*gunicorn, *where)),
            _Part("worker", ("django", "worker", "--interval=0.2", "--skip-checks")),
        ]
        self._keep_running(parts)

    def _keep_running(self, parts: "list[_Part]") -> NoReturn:
        """Run the parts side by side, and start again whichever ends by itself.

        Raises:
            _StopAsked: a signal came; all have ended.
            CommandError: one cannot be started; all have ended.
        """
        try:
            for part in parts:
                part.start()
            while True:
                for part in parts:
                    if pause := part.look():
                        self.stderr.write(
                            f"The {part.name} ended unexpectedly ({part.how}); it is started "
                            f"again in {pause:g} s."
                        )
                        self.stderr.flush()
                time.sleep(0.2)
        finally:
            _stop([part.process for part in parts if part.process])

    def _close_files(self) -> None:
        """Earlier versions left records where every user of the machine could read them."""
        paths = [settings.BASE_DIR / "var", Path(settings.MEDIA_ROOT)]
        if connection.vendor == "sqlite":
            database = str(connection.settings_dict["NAME"])
            paths += [Path(database + suffix) for suffix in ("", "-wal", "-shm", "-journal")]
        for path in close_to_others(paths):
            self.stdout.write(f"Closed to other users of this machine: {path}")

    def _prepare_database(self) -> None:
        try:
            _refuse_database()
            executor = MigrationExecutor(connection)
            pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
            if pending:
                self.stdout.write(f"Bringing the database up to date ({pending} migrations) …")
            call_command("migrate", verbosity=0, interactive=False, skip_checks=True)
            call_command("demo_user", stdout=self.stdout, skip_checks=True)
            if settings.DEMONSTRATION:
                demonstration_order(username=USERNAME)
        except DatabaseError as error:
            raise CommandError(f"The database of DATABASE_URL does not answer: {error}") from error

    def _prepare_static(self) -> None:
        """Collect static files when any of them changed since the last time."""
        stamp = Path(settings.STATIC_ROOT) / ".collected"
        digest = _static_digest()
        if stamp.is_file() and stamp.read_text() == digest:
            return
        self.stdout.write("Collecting static files …")
        call_command("collectstatic", verbosity=0, interactive=False, skip_checks=True)
        stamp.write_text(digest)


def _refuse_database() -> None:
    """What `migrate` alone would ask, before it begins."""
    for found in run_checks(tags=[Tags.database], databases=["default"]):
        if found.is_serious():
            raise CommandError(f"{found.msg} {found.hint}")


def _refuse_taken(port: int) -> None:
    """gunicorn would say so too, but only after five attempts and in many lines."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be opened ({error.strerror}); stop what uses it, or choose "
                "another: make run PORT=8001."
            ) from error


def _static_digest() -> str:
    """Changes whenever a static file is added, removed or edited; reads no content."""
    found = []
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = os.stat(storage.path(path))
            found.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


class _Part:
    """One child process, which is started again, with growing pauses, whenever it ends.

    It runs supervised (``webapp.server.supervised``) in a session of its own: a Ctrl-C reaches it
    once, through this process.

    Attributes:
        process: the child; ``None`` before the first start.
        how: in which way it last ended.
    """

    def __init__(self, name: str, command: tuple[str, ...]) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.how = ""
        self._command = command
        self._began = 0.0
        self._deaths = 0
        self._due: float | None = None

    def start(self) -> None:
        """Start it, whether it ran before or not."""
        self._due, self._began = None, time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, "-m", "webapp.server.supervised", *self._command],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def look(self) -> float | None:
        """Start it if that is due; gives the pause in seconds if it is found to have ended.

        Raises:
            CommandError: it died at once too often.
        """
        if self._due is not None:
            if time.monotonic() >= self._due:
                self.start()
            return None
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.how = f"exit status {code}" if code >= 0 else f"signal {-code}"
        with contextlib.suppress(ProcessLookupError):  # what it leaves behind holds the port
            os.killpg(self.process.pid, signal.SIGTERM)
        lived = time.monotonic() - self._began
        self._deaths = self._deaths + 1 if lived < AT_ONCE_S else 1
        if self._deaths == GIVE_UP_AFTER:
            raise CommandError(
                f"The {self.name} cannot be started: it ended {GIVE_UP_AFTER} times at once, the "
                f"last time with {self.how}. What it printed above says why. Everything was "
                "stopped."
            )
        pause = min(FIRST_PAUSE_S * 2 ** (self._deaths - 1), LONGEST_PAUSE_S)
        self._due = time.monotonic() + pause
        return pause


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    """Let go of the tethers, wait, and kill what is left; another signal ends the waiting."""
    deadline = time.monotonic() + STOP_WITHIN_S
    with contextlib.suppress(_StopAsked, subprocess.TimeoutExpired):
        for child in children:
            if child.stdin:
                child.stdin.close()
        for child in children:
            child.wait(timeout=max(0.0, deadline - time.monotonic()))
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _stop_asked(number: int, frame: object) -> NoReturn:
    raise _StopAsked
