"""Runs a part of the product in a process of its own, which may be killed in the middle of it.

Such a process is forked from a server that has loaded the product already: a fresh interpreter
would take longer than most of what it is to do.
"""

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.diagnosis.made.loaded"])
_AT_MOST_S = 600


def killed_in(work: Callable[..., None], *args: Any, database: str, **settings: Path | str) -> None:
    """Run ``work``, which has to end by SIGKILL; what it says is on the tests' standard error.

    Args:
        database: DATABASE_URL of the process.
        settings: Django settings of the process that differ from those of the tests.
    """
    process = started_in_fork(work, *args, database=database, **settings)
    process.join(_AT_MOST_S)
    assert process.exitcode == -signal.SIGKILL, f"ended with {process.exitcode}"


def started_in_fork(
    work: Callable[..., None], *args: Any, database: str, **settings: Path | str
) -> BaseProcess:
    """The process in which ``work`` has begun; arguments as for ``killed_in``."""
    process = _SERVER.Process(target=_run, args=(work, args, database, settings))
    process.start()
    return process


def said_by(
    work: Callable[..., None], *args: Any, folder: Path, database: str, **settings: Path | str
) -> "subprocess.CompletedProcess[str]":
    """Run ``work`` to its end: the exit status, and what it wrote, by way of files in ``folder``.

    The other arguments are those of ``killed_in``.
    """
    files = folder / "stdout", folder / "stderr"
    process = started_in_fork(_into, files, work, args, database=database, **settings)
    process.join(_AT_MOST_S)
    assert process.exitcode is not None, "it never ended"
    said = [file.read_text() for file in files]
    return subprocess.CompletedProcess(args, process.exitcode, *said)


def _into(files: tuple[Path, Path], work: Callable[..., None], args: tuple[Any, ...]) -> None:
    for number, file in enumerate(files, start=1):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), number)
    work(*args)


def _run(
    work: Callable[..., None], args: tuple[Any, ...], database: str, settings: dict[str, Any]
) -> None:
    from django.conf import settings as used
    from django.db import connections

    from webapp.database_url import database_settings

    configured = connections.configure_settings({"default": database_settings(database)})
    connections.settings["default"] = configured["default"]
    used.DATABASES = configured
    if hasattr(connections._connections, "default"):
        del connections["default"]
    for name, value in settings.items():
        setattr(used, name, value)
    work(*args)
