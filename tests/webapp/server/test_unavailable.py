"""A database that is locked, away or full, and a full disk, answer 503 and when to ask again."""

import errno
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, InterfaceError, OperationalError, ProgrammingError
from django.db.backends.utils import CursorWrapper
from django.test import Client
from rest_framework.test import APIClient

from tests.diagnosis.made.pictures import smear_jpeg
from webapp.unavailable import trouble_of

LOCKED = OperationalError("database is locked")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LOCKED, "database_busy"),
        (OperationalError("database table is locked: auth_user"), "database_busy"),
        (OperationalError(1205, "Lock wait timeout exceeded"), "database_busy"),
        (OperationalError(1213, "Deadlock found"), "database_busy"),
        (OperationalError(1040, "Too many connections"), "database_busy"),
        (OperationalError("database or disk is full"), "database_full"),
        (OperationalError(1114, "The table is full"), "database_full"),
        (OperationalError("unable to open database file"), "database_unavailable"),
        (OperationalError(2002, "Can't connect"), "database_unavailable"),
        (OperationalError(2006, "Server has gone away"), "database_unavailable"),
        (OperationalError(2013, "Lost connection during query"), "database_unavailable"),
        (OperationalError(1927, "Connection was killed"), "database_unavailable"),
        (OperationalError(1053, "Server shutdown in progress"), "database_unavailable"),
        (InterfaceError(0, ""), "database_unavailable"),
        (InterfaceError("connection already closed"), "database_unavailable"),
        (InterfaceError(), "database_unavailable"),
        (OSError(errno.ENOSPC, "No space left on device"), "storage_full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "storage_full"),
        (OperationalError("no such table: auth_user"), None),
        (OperationalError("no such column: nothing"), None),
        (OperationalError(1054, "Unknown column"), None),
        (ProgrammingError(1146, "There is no such table"), None),
        (InterfaceError("Error binding parameter 0"), None),
        (DatabaseError(), None),
        (OSError(errno.EACCES, "Permission denied"), None),
        (ValueError("database is locked"), None),
        (None, None),
    ],
)
def test_what_passes_and_what_does_not(error: BaseException | None, code: str | None) -> None:
    trouble = trouble_of(error)
    assert (trouble and trouble.code) == code


@pytest.fixture
def writes_fail(monkeypatch: pytest.MonkeyPatch) -> OperationalError:
    """Reading goes on, as beside a writer that keeps SQLite's lock."""
    really = CursorWrapper.execute

    def execute(cursor: CursorWrapper, sql: str, params: Any = None) -> Any:
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            raise LOCKED
        return really(cursor, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", execute)
    return LOCKED


@pytest.fixture
def nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the server restarts: session, sign-in and views all meet it."""

    def execute(cursor: CursorWrapper, sql: str, params: Any = None) -> Any:
        raise OperationalError(2013, "Lost connection, and here a secret")

    monkeypatch.setattr(CursorWrapper, "execute", execute)


def told(response: Any, code: str | None = None) -> None:
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    if code:
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == code
    else:
        assert response["Content-Type"].startswith("text/html")
        assert "Not at this moment" in response.text
    assert "secret" not in response.text


@pytest.mark.django_db
def test_writers_are_asked_to_come_again(
    api: APIClient, client_signed_in: Client, writes_fail: OperationalError
) -> None:
    patient = {"medical_record_number": "N-1", "name": "A"}
    told(api.post("/api/patients", patient), "database_busy")
    field = SimpleUploadedFile("field.jpg", smear_jpeg())
    told(client_signed_in.post("/diagnoses/unassigned", {"fields": field}))


@pytest.mark.django_db
def test_administration_is_asked_to_come_again(
    client: Client, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(admin_user)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise LOCKED

    monkeypatch.setattr("django.contrib.admin.options.ModelAdmin.save_model", fail)
    monkeypatch.setattr("django.contrib.auth.models.User.save", fail)
    fields = {"username": "new", "password1": "a-long-Passphrase-7", "usable_password": "true"}
    fields["password2"] = fields["password1"]
    told(client.post("/admin/auth/user/add/", fields))


@pytest.mark.django_db
def test_a_database_that_went_away_before_the_view(
    api: APIClient, client_signed_in: Client, nothing_answers: None
) -> None:
    """Met by the session, which no view sees: its middleware, and the API's sign-in."""
    client_signed_in.raise_request_exception = False
    told(client_signed_in.get("/"))
    told(client_signed_in.post("/login", {"username": "a", "password": "b"}))
    told(api.get("/api/diagnoses"), "database_unavailable")


@pytest.mark.django_db
def test_a_fault_of_ours_stays_a_500(api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    api.raise_request_exception = False

    def execute(cursor: CursorWrapper, sql: str, params: Any = None) -> Any:
        raise OperationalError("no such column: secret")

    monkeypatch.setattr(CursorWrapper, "execute", execute)
    response = api.get("/api/diagnoses")
    assert response.status_code == 500
    assert "Retry-After" not in response
