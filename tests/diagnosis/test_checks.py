"""What ``manage.py check`` says about a site that cannot work."""

from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import connection
from pytest_django import Settings


def _ids(**kwargs: list[str]) -> list[str]:
    return [message.id or "" for message in run_checks(**kwargs) if "diagnosis" in str(message.id)]


def test_all_well() -> None:
    assert _ids() == []


def test_a_media_folder_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    settings.MEDIA_ROOT = tmp_path / "file" / "media"
    assert _ids() == ["diagnosis.E001"]
    settings.MEDIA_ROOT = tmp_path / "not" / "yet"
    assert _ids() == []


def test_no_live_version(settings: Settings, tmp_path: Path) -> None:
    settings.MODEL_STORE = tmp_path
    assert _ids() == ["diagnosis.W001"]


@pytest.mark.django_db
def test_a_database_that_knows_latin_letters_only() -> None:
    assert _ids(databases=["default"]) == []
    if connection.vendor != "mysql":
        return
    with connection.cursor() as cursor:
        cursor.execute("ALTER DATABASE CHARACTER SET latin1")
    try:
        assert _ids(databases=["default"]) == ["diagnosis.E002"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER DATABASE CHARACTER SET utf8mb4")
