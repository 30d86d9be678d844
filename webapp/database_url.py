"""``DATABASE_URL`` as Django's settings, with what each engine needs to be safe."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# PREFERRED is none of them: the client library takes it for DISABLED.
SSL_MODES = ("DISABLED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_SSL_FILES = {"ssl_ca": "ca", "ssl_cert": "cert", "ssl_key": "key"}
_DEFAULTS = ("read_default_file", "read_default_group")
_MYSQL_OPTIONS = ("ssl_mode", *_SSL_FILES, *_DEFAULTS)

# Web and worker share the file: readers never wait (WAL), writers queue instead of failing
# halfway through a transaction (IMMEDIATE). Not for long: whoever waits holds one of few threads,
# and hears "try again" sooner than most clients give up.
_SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 8,
    "init_command": "PRAGMA journal_mode=WAL;",
}
_MYSQL = {
    "charset": "utf8mb4",
    "sql_mode": "STRICT_TRANS_TABLES",
    "isolation_level": "read committed",
    "connect_timeout": 3,
}


def database_settings(url: str) -> dict[str, Any]:
    """Django's settings for ``url``; makes the folder of an SQLite file.

    Args:
        url: ``sqlite:////path`` or ``mysql://user:password@host:3306/name``; of the latter, query
            parameters say how the server is reached: ``ssl_mode``, ``ssl_ca``, ``ssl_cert``,
            ``ssl_key``, ``read_default_file``, ``read_default_group``, each also with hyphens.

    Raises:
        ImproperlyConfigured: no such address, a parameter that is not one of these, a file that
            is not there, or a missing driver.
    """
    parts = urlsplit(url)
    try:
        given = dict(
            parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        )
        database: dict[str, Any] = dict(
            dj_database_url.parse(url.partition("?")[0], conn_max_age=60, conn_health_checks=True)
        )
    except (ValueError, KeyError) as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL is not a database address ({error}); give something like "
            "sqlite:////srv/db.sqlite3 or mysql://user:password@host:3306/name."
        ) from error
    if database["ENGINE"] == "django.db.backends.sqlite3":
        _refuse_others(given, ())
        database["OPTIONS"] = dict(_SQLITE)
        if database["NAME"] != ":memory:":
            _make_folder(Path(str(database["NAME"])).parent)
    elif database["ENGINE"] == "django.db.backends.mysql":
        if find_spec("MySQLdb") is None:
            raise ImproperlyConfigured(
                "DATABASE_URL names a MySQL server, and the mysqlclient package is missing; "
                "install libmariadb-dev and pkg-config, then run `requirements/venv.sh mysql`."
            )
        database["OPTIONS"] = {**_mysql_options(given), **_MYSQL}
    else:
        raise ImproperlyConfigured(
            f"DATABASE_URL names {parts.scheme}://, which is not supported; "
            "use sqlite:// or mysql://."
        )
    return database


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL keeps the database in {folder}, which cannot be made "
            f"({error.strerror}); name a folder that this user may write."
        ) from error


def _mysql_options(given: dict[str, str]) -> dict[str, Any]:
    """mysqlclient's options for the query parameters of an address.

    A certificate authority without a mode means that the server has to prove itself: the client
    library would otherwise go on in clear where the server offers no TLS.
    """
    named = {name.replace("-", "_"): value for name, value in given.items()}
    _refuse_others(named, _MYSQL_OPTIONS)
    for name in (*_SSL_FILES, "read_default_file"):
        if name in named and not Path(named[name]).is_file():
            raise ImproperlyConfigured(
                f"DATABASE_URL says {name}={named[name]}, and there is no such file; give the "
                "whole path of a file that this user may read."
            )
    options: dict[str, Any] = {name: named[name] for name in _DEFAULTS if name in named}
    files = {key: named[name] for name, key in _SSL_FILES.items() if name in named}
    if files:
        options["ssl"] = files
    if files or "ssl_mode" in named:
        mode = named.get("ssl_mode", "VERIFY_IDENTITY")
        if mode.upper() not in SSL_MODES:
            raise ImproperlyConfigured(
                f"DATABASE_URL says ssl_mode={mode}; give one of {', '.join(SSL_MODES)}."
            )
        options["ssl_mode"] = mode.upper()
    return options


def _refuse_others(given: dict[str, str], known: tuple[str, ...]) -> None:
    """Nothing asked of the database is passed over in silence."""
    if others := sorted(given.keys() - set(known)):
        takes = f"takes {', '.join(known)}" if known else "takes no parameters"
        raise ImproperlyConfigured(
            f"DATABASE_URL has {', '.join(others)} behind the question mark, which is not taken; "
            f"for this database it {takes}."
        )
