"""Fixtures of the tests of backup and restore."""

from pathlib import Path

import pytest

from tests.diagnosis.made.site import Site, command


@pytest.fixture
def backup(site: Site, tmp_path: Path) -> Path:
    """A backup of the site."""
    command("backup", str(tmp_path / "backup"))
    return tmp_path / "backup"
