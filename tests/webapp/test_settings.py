"""What the settings make of the environment; that each variable is checked is tested elsewhere."""

import runpy
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

KEY = "a-key-for-tests-and-nothing-else-0123456789"


def _settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    for name, value in {"SECRET_KEY": KEY, **environment}.items():
        monkeypatch.setenv(name, value)
    with mock.patch("environs.Env.read_env"):
        return runpy.run_path(str(settings.BASE_DIR / "webapp/settings.py"))


def test_behind_tls_cookies_stay_on_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settings(monkeypatch, CSRF_TRUSTED_ORIGINS="https://smears.example.org")
    assert found["SESSION_COOKIE_SECURE"] is found["CSRF_COOKIE_SECURE"] is True
    assert found["SECURE_HSTS_SECONDS"] > 0
    assert found["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")


def test_on_one_machine_cookies_come_back_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    for environment in ({}, {"CSRF_TRUSTED_ORIGINS": "http://127.0.0.1:8000"}):
        found = _settings(monkeypatch, **environment)
        assert found["SESSION_COOKIE_SECURE"] is found["CSRF_COOKIE_SECURE"] is False
        assert found["SECURE_HSTS_SECONDS"] == 0
        assert found["SECURE_PROXY_SSL_HEADER"] is None, "a client could forge it"


def test_debug_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBUG", raising=False)
    assert _settings(monkeypatch)["DEBUG"] is False


def test_a_body_may_hold_the_largest_image_as_base64(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (1, 3 * 2**20, 20 * 2**20):
        found = _settings(monkeypatch, MAX_UPLOAD_BYTES=str(limit))
        with_line_breaks = limit * 4 / 3 * 78 / 76
        assert found["DATA_UPLOAD_MAX_MEMORY_SIZE"] > with_line_breaks
        assert found["FILE_UPLOAD_MAX_MEMORY_SIZE"] == found["DATA_UPLOAD_MAX_MEMORY_SIZE"]


def test_mysql_is_strict_and_speaks_all_of_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settings(monkeypatch, DATABASE_URL="mysql://u:p@db:3306/portal")
    database = found["DATABASES"]["default"]
    assert (database["HOST"], database["NAME"]) == ("db", "portal")
    assert database["OPTIONS"]["charset"] == "utf8mb4"
    assert database["OPTIONS"]["isolation_level"] == "read committed"
    assert "STRICT" in database["OPTIONS"]["sql_mode"]


def test_the_queue_is_in_the_database_unless_redis_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("QUEUE_URL", raising=False)
    found = _settings(monkeypatch)
    assert found["TASKS"]["default"]["BACKEND"] == "django_tasks_db.DatabaseBackend"
    assert "django_rq" not in found["INSTALLED_APPS"]
    found = _settings(monkeypatch, QUEUE_URL="redis://redis:6379/0")
    assert found["TASKS"]["default"]["BACKEND"] == "django_tasks_rq.RQBackend"
    assert found["RQ_QUEUES"]["default"]["URL"] == "redis://redis:6379/0"
    assert {"django_rq", "django_tasks_rq"} <= set(found["INSTALLED_APPS"])


def test_redis_without_its_packages_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"requirements/venv\.sh production"):
        _settings(monkeypatch, QUEUE_URL="redis://redis:6379/0")


def test_nothing_is_traced_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACES_URL", raising=False)
    found = _settings(monkeypatch)
    assert found["TRACES_URL"] == ""
    assert "trace_id" not in found["LOGGING"]["formatters"]["line"]["format"]


def test_lines_of_traced_requests_name_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settings(monkeypatch, TRACES_URL="http://127.0.0.1:4318/v1/traces")
    assert "%(trace_id)s" in found["LOGGING"]["formatters"]["line"]["format"]


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.instrumentation.requests"])
def test_traces_need_their_packages(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def find_spec(name: str) -> object:
        if name == missing:
            return None
        if name.startswith(missing + "."):
            raise ModuleNotFoundError(name)  # as importlib does for a missing parent
        return object()

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    with pytest.raises(ImproperlyConfigured, match=r"TRACES_URL.*venv\.sh production"):
        _settings(monkeypatch, TRACES_URL="http://collector:4318/v1/traces")
    _settings(monkeypatch, TRACES_URL="")
