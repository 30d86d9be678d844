"""What ``manage.py check`` says about a site that cannot work."""

import runpy
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from pytest_django import Settings

from diagnosis.operations.backup.marker import marker_path


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


def test_gunicorn_alone_serves_no_half_restored_records(settings: Settings) -> None:
    wsgi = str(settings.BASE_DIR / "webapp/wsgi.py")
    assert callable(runpy.run_path(wsgi)["application"])
    marker_path().parent.mkdir(parents=True)
    marker_path().write_text("0" * 64)
    with pytest.raises(ImproperlyConfigured, match=r"cut off.*restore"):
        runpy.run_path(wsgi)


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
