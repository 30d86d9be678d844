import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from pytest_django import Settings

from diagnosis.operations.health import ANSWER_WITHIN_S
from tests.clock import clock_shifted
from tests.diagnosis.killed.steps import create_field
from tests.diagnosis.made.pictures import smear_jpeg
from tests.waiting import WITHIN_S, wait_until
from webapp.database_url import database_settings

READY = "/readyz"


def test_liveness_asks_nothing_of_the_database(client: Client) -> None:
    """No ``django_db`` mark: a query would fail the test."""
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_all_well(client: Client) -> None:
    response = client.get(READY)
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "database": "ok",
        "storage": "ok",
        "model": "ok",
        "worker": "ok",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/healthz", READY, "/metrics"])
def test_probes_call_by_the_address_of_a_machine(client: Client, address: str) -> None:
    assert client.get(address, headers={"Host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/login", headers={"Host": "10.1.2.3:8000"}).status_code == 400


@pytest.mark.django_db
def test_a_probe_keeps_no_connection(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    kind = type(connections["default"])
    really_close = kind.close

    def close(connection: BaseDatabaseWrapper) -> None:
        closed.append(connection.alias)
        really_close(connection)  # one that stays open stands in the way of a later test's restore

    monkeypatch.setattr(kind, "close", close)
    client.get(READY)
    assert "default" in closed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "worker"), [(100, "ok"), (140, "the queue stands still")])
def test_a_queue_that_stands_still_is_told(
    client: Client, clinician: User, seconds: int, worker: str
) -> None:
    with clock_shifted(-timedelta(seconds=seconds)):
        create_field(clinician, smear_jpeg())
    response = client.get(READY)
    assert response.status_code == 200
    assert response.json()["worker"] == worker
    assert response.json()["status"] == ("ok" if worker == "ok" else "degraded")


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
    def fail(connection: BaseDatabaseWrapper) -> None:
        raise error

    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", fail)
    response = client.get(READY)
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert (response.json()["database"], response.json()["worker"]) == ("unreachable", "unknown")
    assert "secret" not in response.text


def test_a_database_that_hangs_holds_nobody(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask, one thread waits for it; and it is asked again when it is back."""
    from diagnosis.operations import health

    back, hangs, asked = threading.Event(), threading.Event(), []

    def hang(connection: BaseDatabaseWrapper) -> None:
        asked.append(connection)
        hangs.set()
        back.wait(WITHIN_S)
        raise OperationalError

    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", hang)
    monkeypatch.setattr(health, "ANSWER_WITHIN_S", 0.01)
    for _ in range(2):
        response = client.get(READY)
        assert (response.status_code, response.json()["database"]) == (503, "unreachable")
    assert hangs.wait(WITHIN_S)
    assert len(asked) == 1
    monkeypatch.setattr(health, "ANSWER_WITHIN_S", WITHIN_S)
    back.set()
    wait_until(lambda: health._asked is not None and health._asked.done())
    assert client.get(READY).status_code == 503
    assert len(asked) > 1


def test_a_probe_is_answered_before_its_caller_gives_up() -> None:
    """Who asks at all waits a second or more; ``tests/conftest.py`` gives other tests minutes."""
    assert ANSWER_WITHIN_S < 1


@pytest.fixture
def mute_server() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.django_db
def test_a_mysql_server_that_says_nothing_holds_nobody(
    client: Client, monkeypatch: pytest.MonkeyPatch, mute_server: int
) -> None:
    """With the product's own driver and options: the thread is free again after a few seconds."""
    pytest.importorskip("MySQLdb")
    from diagnosis.operations import health

    client.get(READY)  # what only the first request does is done, in this test as in a process
    found = database_settings(f"mysql://u:p@127.0.0.1:{mute_server}/portal")
    monkeypatch.setitem(
        connections.settings, "default", {**connections.settings["default"], **found}
    )
    health._database.submit(_forget_connection).result()  # of that thread: it makes a new one
    response = client.get(READY)
    assert (response.status_code, response.json()["database"]) == (503, "unreachable")
    assert health._asked is not None
    with pytest.raises(OperationalError):
        health._asked.result(timeout=WITHIN_S)
    health._database.submit(_forget_connection).result()


def _forget_connection() -> None:
    del connections["default"]


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
    monkeypatch.setattr("diagnosis.storage.media.os.access", lambda path, mode: mode != os.W_OK)
    response = client.get(READY)
    assert response.status_code == 503
    assert response.json()["storage"] == "not writable"


@pytest.mark.django_db
def test_a_full_disk_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(free=2**20)
    monkeypatch.setattr("diagnosis.storage.media.shutil.disk_usage", lambda folder: full)
    response = client.get(READY)
    assert (response.status_code, response.json()["storage"]) == (503, "full")


@pytest.mark.django_db
def test_the_disk_of_a_database_in_a_file_is_watched(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if connections["default"].vendor != "sqlite":
        pytest.skip("a server watches its own disk")
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", tmp_path / "db/db.sqlite3")
    (tmp_path / "db").mkdir()
    seen = SimpleNamespace(free=2**40)
    full = SimpleNamespace(free=2**20)
    monkeypatch.setattr(
        "diagnosis.storage.media.shutil.disk_usage",
        lambda folder: full if folder == tmp_path / "db" else seen,
    )
    answer = client.get(READY).json()
    assert (answer["database"], answer["storage"]) == ("full", "ok")


@pytest.mark.django_db
def test_before_the_first_upload_it_is_ready(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path / "not" / "yet"
    assert client.get(READY).json()["storage"] == "ok"
