import logging
import re

import pytest
from django.test import Client
from rest_framework.test import APIClient

from webapp.logs.request_id import RequestIdFilter, current_request_id


def test_every_answer_has_an_id(client: Client) -> None:
    ids = {client.get("/healthz")["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in ids)


def test_the_proxy_s_id_is_kept(client: Client) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": "proxy-0001.a_b"})
    assert response["X-Request-ID"] == "proxy-0001.a_b"


@pytest.mark.parametrize(
    "given", ["short", "x" * 65, "with space 1", "a" * 8 + "\n", "<script>1", ""]
)
def test_an_id_that_could_do_harm_is_replaced(client: Client, given: str) -> None:
    found = client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", found)


def test_outside_a_request_there_is_none(client: Client) -> None:
    client.get("/healthz")
    assert current_request_id() == "-"


def _ids_in_log(caplog: pytest.LogCaptureFixture) -> set[str]:
    for record in caplog.records:
        RequestIdFilter().filter(record)
    return {record.request_id for record in caplog.records}  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_the_log_line_of_a_refusal_carries_it(caplog: pytest.LogCaptureFixture) -> None:
    response = APIClient().get("/api/diagnoses")
    assert response.status_code == 401
    assert caplog.records
    assert _ids_in_log(caplog) == {response["X-Request-ID"]}


@pytest.mark.django_db
def test_the_log_line_of_a_fault_carries_it(
    api: APIClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("diagnosis.api.views.audit_record", fail)
    monkeypatch.setattr("diagnosis.api.views.listing_record", fail)
    api.raise_request_exception = False
    response = api.get("/api/diagnoses")
    assert response.status_code == 500
    assert "ZeroDivisionError" in caplog.text
    assert _ids_in_log(caplog) == {response["X-Request-ID"]}


def test_a_record_without_request_is_marked_so() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "", None, None)
    assert RequestIdFilter().filter(record)
    assert record.request_id == "-"  # type: ignore[attr-defined]
