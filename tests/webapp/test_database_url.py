"""What is asked of the database in DATABASE_URL reaches the server, or is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.mysql.base import DatabaseWrapper

from webapp.database_url import database_settings

SERVER = "mysql://u:p@db:3306/portal"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("ssl_mode=REQUIRED", {"ssl_mode": "REQUIRED"}),
        ("ssl-mode=verify_ca", {"ssl_mode": "VERIFY_CA"}),
        ("ssl-ca={file}", {"ssl_mode": "VERIFY_IDENTITY", "ssl": {"ca": "{file}"}}),
        ("ssl_mode=REQUIRED&ssl_ca={file}", {"ssl_mode": "REQUIRED", "ssl": {"ca": "{file}"}}),
        (
            "ssl-ca={file}&ssl-cert={file}&ssl-key={file}",
            {"ssl": {"ca": "{file}", "cert": "{file}", "key": "{file}"}},
        ),
        (
            "read_default_file={file}&read_default_group=x",
            {"read_default_file": "{file}", "read_default_group": "x"},
        ),
    ],
)
def test_what_is_asked_for_is_set(query: str, options: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "file with a space.pem"
    file.touch()

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(part) for name, part in value.items()}
        return value.format(file=file)

    found = database_settings(f"{SERVER}?{filled(query)}")["OPTIONS"]
    assert {name: found[name] for name in options} == filled(options)
    assert found["charset"] == "utf8mb4"
    assert found["isolation_level"] == "read committed"


def test_a_file_is_where_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "a folder/db.sqlite3"
    assert database_settings(f"sqlite:///{path}")["NAME"] == str(path)
    assert path.parent.is_dir()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"{SERVER}?ssl_mode=PREFERRED", "ssl_mode=PREFERRED; give one of DISABLED, REQUIRED"),
        (f"{SERVER}?ssl_mode=", "give one of DISABLED, REQUIRED"),
        (f"{SERVER}?ssl-ca=/nowhere/ca.pem", "ssl_ca=/nowhere/ca.pem, and there is no such file"),
        (f"{SERVER}?read_default_file=/nowhere", "there is no such file"),
        (f"{SERVER}?isolation_level=serializable", "has isolation_level behind the question mark"),
        (f"{SERVER}?tls=1&ssl_mode=REQUIRED", "has tls behind the question mark"),
        ("sqlite:///:memory:?timeout=5", "has timeout .* takes no parameters"),
    ],
)
def test_what_cannot_be_set_is_refused(url: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        database_settings(url)


@contextmanager
def _reached(query: str) -> Iterator[BaseDatabaseWrapper]:
    """The tests' server, reached as DATABASE_URL with ``query`` would, as a user of its own."""
    at = connection.settings_dict
    settings = database_settings(
        f"mysql://encrypted:x@{at['HOST']}:{at['PORT']}/{at['NAME']}{query}"
    )
    reached = DatabaseWrapper({**at, **settings}, alias="encrypted")
    try:
        yield reached
    finally:
        reached.close()


@pytest.fixture
def authority(transactional_db: None) -> Iterator[str]:
    """A user whom the server takes over TLS alone; gives the file of who signed its certificate."""
    if connection.vendor != "mysql":
        pytest.skip("SQLite is a file")
    with connection.cursor() as cursor:
        cursor.execute("CREATE USER encrypted@'127.0.0.1' IDENTIFIED BY 'x' REQUIRE SSL")
        cursor.execute("GRANT ALL ON *.* TO encrypted@'127.0.0.1'")
        cursor.execute("SELECT @@ssl_ca")
        (path,) = cursor.fetchone()
        yield path
        cursor.execute("DROP USER encrypted@'127.0.0.1'")


@pytest.mark.parametrize(
    "query", ["?ssl_mode=REQUIRED", "?ssl-ca={ca}", "?ssl_mode=VERIFY_CA&ssl-ca={ca}"]
)
def test_the_server_is_reached_by_tls(authority: str, query: str) -> None:
    with _reached(query.format(ca=authority)) as reached, reached.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert cursor.fetchone()[1]


def test_a_user_who_needs_tls_is_refused_without(authority: str) -> None:
    with _reached("") as reached, pytest.raises(OperationalError, match="1045"):
        reached.ensure_connection()


def test_a_server_that_another_signed_is_refused(authority: str) -> None:
    with (
        _reached("?ssl-ca=/etc/ssl/certs/ca-certificates.crt") as reached,
        pytest.raises(OperationalError, match="TLS/SSL error"),
    ):
        reached.ensure_connection()
