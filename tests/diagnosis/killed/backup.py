"""Makes or restores a backup, and is killed (SIGKILL) at the step it is told."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from tests.diagnosis.killed.upload import after, die

BACKUP_STEPS = (
    "after the dump",
    "with half the media copied",
    "before the manifest",
    "before the backup's rename",
)
# In the order of the work; the old state is there as long as the marker is not.
RESTORE_STEPS = (
    "with half the media restored",
    "with half a version restored",
    "before the marker",
    "after the marker",
    "within the database",
    "after the database",
    "between two versions' renames",
    "before live.json",
    "after the migrations",
    "before the marker goes",
)
FIRST_WITH_MARKER = RESTORE_STEPS.index("after the marker")


def at_call(number: int, work: Callable[..., Any]) -> Callable[..., Any]:
    """``work``, and death instead of its ``number``-th call."""
    calls: list[int] = []

    def run(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return die() if len(calls) == number else work(*args, **kwargs)

    return run


def before_writing(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """``work``, and death instead of its making ``name``."""

    def run(source: Path, target: Path, *args: Any, **kwargs: Any) -> Any:
        return die() if target.name == name else work(source, target, *args, **kwargs)

    return run


def within_the_database() -> Any:
    """SQLite: before its one rename. MariaDB: with half of the statements sent."""
    from django.db import connection

    from diagnosis.operations.backup import mysql, sqlite

    if connection.vendor == "sqlite":
        name = Path(connection.settings_dict["NAME"]).name
        return mock.patch.object(sqlite.os, "replace", before_writing(name, os.replace))
    popen = mysql.subprocess.Popen

    def half_fed(*args: Any, **kwargs: Any) -> Any:
        child = popen(*args, **kwargs)
        if child.stdin:
            child.stdin = mock.Mock(wraps=child.stdin)
            child.stdin.write.side_effect = at_call(300, child.stdin.write._mock_wraps)
        return child

    return mock.patch.object(mysql.subprocess, "Popen", half_fed)


def patch_for(step: str) -> Any:
    """The one line of the product that kills, for each step."""
    from diagnosis.operations.backup import database, folder, make, restore, store

    engine = type(database.engine())
    return {
        "after the dump": lambda: mock.patch.object(engine, "dump", after(engine.dump)),
        "with half the media copied": lambda: mock.patch.object(
            make._Copy, "add", at_call(3, make._Copy.add)
        ),
        "before the manifest": lambda: mock.patch.object(make, "write_whole", die),
        "before the backup's rename": lambda: mock.patch.object(folder.os, "rename", die),
        "with half the media restored": lambda: mock.patch.object(
            restore, "place_file", at_call(3, restore.place_file)
        ),
        "with half a version restored": lambda: mock.patch.object(
            store, "copy_file", at_call(2, store.copy_file)
        ),
        "before the marker": lambda: mock.patch.object(restore, "_mark", die),
        "after the marker": lambda: mock.patch.object(restore, "_mark", after(restore._mark)),
        "within the database": within_the_database,
        "after the database": lambda: mock.patch.object(restore, "store_switch", die),
        # The first rename puts the new version in its place, the second moves the old one aside.
        "between two versions' renames": lambda: mock.patch.object(
            store.os, "rename", at_call(3, store.os.rename)
        ),
        "before live.json": lambda: mock.patch.object(
            store, "place_file", before_writing("live.json", store.place_file)
        ),
        "after the migrations": lambda: mock.patch.object(restore, "media_files", die),
        "before the marker goes": lambda: mock.patch.object(
            restore, "audit_record", after(restore.audit_record)
        ),
    }[step]()


def main(step: str, folder: str) -> None:
    """Do the work; not reached the end if the step was."""
    from django.core.management import call_command

    with patch_for(step):
        if step in BACKUP_STEPS:
            call_command("backup", folder)
        else:
            call_command("restore", folder, "--replace")
