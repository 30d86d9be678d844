import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from diagnosis.core.predictors.addresses import Address
from export.publishing import model_server as serving
from export.publishing.model_server import NotServedError, wait_available
from tests.waiting import WITHIN_S


class _Server(BaseHTTPRequestHandler):
    """Answers like TensorFlow Serving's model status, one recorded state after the other."""

    states: list[str]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Host"]))
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state == "404":
            body = {"error": "Could not find version 2 of model all_smear"}
        else:
            body = {"model_version_status": [{"version": "2", "state": state}]}
        self.send_response(404 if state == "404" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[_Server]]]:
    monkeypatch.setattr(serving, "POLL_SECONDS", 0.01)
    handler = type("Handler", (_Server,), {"states": [], "asked": []})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/v1/models/all_smear", handler
    httpd.shutdown()
    httpd.server_close()


def test_waits_until_the_version_is_available(server: tuple[str, type[_Server]]) -> None:
    url, handler = server
    handler.states[:] = ["404", "START", "LOADING", "AVAILABLE"]
    wait_available(url, 2, timeout=WITHIN_S)
    assert len(handler.asked) == 4
    path, host = handler.asked[0]
    assert path == "/v1/models/all_smear/versions/2"
    assert url.startswith(f"http://{host}/")


def test_every_server_is_asked(server: tuple[str, type[_Server]]) -> None:
    url, handler = server
    handler.states[:] = ["AVAILABLE"]
    wait_available(f"{url}, {url}", 2, timeout=WITHIN_S)
    assert len(handler.asked) == 2


@pytest.mark.parametrize("state", ["404", "END", "LOADING"])
def test_a_server_that_never_loads_it_is_named(
    server: tuple[str, type[_Server]], state: str
) -> None:
    url, handler = server
    handler.states[:] = [state]
    with pytest.raises(NotServedError, match=r"127\.0\.0\.1.*has not loaded version 2.*promote"):
        wait_available(url, 2, timeout=0.05)


def test_an_unreachable_server_is_not_available() -> None:
    with pytest.raises(NotServedError, match="ConnectionError"):
        wait_available("http://127.0.0.1:9/v1/models/all_smear", 2, timeout=0)


def test_nothing_to_wait_for_when_embedded() -> None:
    wait_available("embedded:", 2, timeout=0)


@pytest.mark.parametrize("url", ["tfserving:8501", "http://"])
def test_what_is_no_model_url_is_said(url: str) -> None:
    with pytest.raises(NotServedError, match="not the URL of a model"):
        wait_available(url, 2, timeout=0)


def test_a_name_without_address_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(url: str) -> list[Address]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(serving, "resolve", resolve)
    with pytest.raises(NotServedError, match="not known"):
        wait_available("http://nowhere:8501/v1/models/all_smear", 2, timeout=0)


def test_every_address_has_to_have_loaded_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(url: str) -> list[Address]:
        return [Address(f"http://{name}/v1/models/m", "tfserving") for name in ("a", "b")]

    asked = []

    def state(address: Address, version: int) -> str:
        asked.append((address.url, version))
        return "AVAILABLE" if "//a" in address.url else "LOADING"

    monkeypatch.setattr(serving, "resolve", resolve)
    monkeypatch.setattr(serving, "_state", state)
    with pytest.raises(NotServedError, match=r"http://b/v1/models/m .*LOADING"):
        wait_available("http://tfserving/v1/models/m", 2, timeout=0)
    assert asked == [("http://a/v1/models/m", 2), ("http://b/v1/models/m", 2)]
