"""Restoring a backup, and seeing that it is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from diagnosis.core.files import sha256_of
from diagnosis.operations.backup.folder import MANIFEST, SUMS
from diagnosis.operations.backup.marker import marker_path
from tests.diagnosis.made.site import command, files, state


def restore_from(backup: Path, *options: str) -> str:
    return command("restore", str(backup), *options)


def refused(backup: Path, because: str, *options: str) -> None:
    """The restore ends with a sentence, and nothing has changed."""
    before = state()
    with pytest.raises(CommandError, match=because):
        restore_from(backup, *options)
    assert state() == before
    assert not marker_path().exists()


def checksums_again(backup: Path) -> None:
    """As somebody would who can write the folder."""
    names = sorted(name for name in files(backup) if name != SUMS)
    lines = [f"{sha256_of(backup / name)}  {name}\n" for name in names]
    (backup / SUMS).write_text("".join(lines))


def edit_manifest(backup: Path, **changes: Any) -> None:
    document = json.loads((backup / MANIFEST).read_text())
    (backup / MANIFEST).write_text(json.dumps({**document, **changes}))
    checksums_again(backup)
