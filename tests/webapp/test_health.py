import os
from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from pytest_django import Settings

READY = "/readyz"


def test_liveness_asks_nothing_of_the_database(client: Client) -> None:
    """No ``django_db`` mark: a query would fail the test."""
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_all_well(client: Client) -> None:
    response = client.get(READY)
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "database": "ok", "storage": "ok", "model": "ok"}


@pytest.mark.django_db
def test_without_a_model_uploads_are_still_taken(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MODEL_STORE = tmp_path
    response = client.get(READY)
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["model"] != "ok"
    assert str(tmp_path) not in response.text


@pytest.mark.parametrize("error", [OperationalError("secret host"), InterfaceError("secret host")])
def test_without_database_it_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("django.db.connection.cursor", fail, raising=False)
    response = client.get(READY)
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["database"] == "unreachable"
    assert "secret" not in response.text


@pytest.mark.django_db
def test_without_storage_it_is_not_ready(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    settings.MEDIA_ROOT = tmp_path / "file"
    response = client.get(READY)
    assert response.status_code == 503
    assert response.json()["storage"] == "not writable"


@pytest.mark.django_db
def test_a_folder_that_only_can_be_read_is_no_storage(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the system by name: root, who runs the tests in CI, may write everywhere."""
    monkeypatch.setattr("diagnosis.media.os.access", lambda path, mode: mode != os.W_OK)
    response = client.get(READY)
    assert response.status_code == 503
    assert response.json()["storage"] == "not writable"


@pytest.mark.django_db
def test_before_the_first_upload_it_is_ready(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path / "not" / "yet"
    assert client.get(READY).json()["storage"] == "ok"
