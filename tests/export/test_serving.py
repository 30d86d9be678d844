import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from export import serving
from export.serving import NotServedError, addresses, wait_available


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
    wait_available(url, 2, timeout=5)
    assert len(handler.asked) == 4
    path, host = handler.asked[0]
    assert path == "/v1/models/all_smear/versions/2"
    assert url.startswith(f"http://{host}/")


def test_every_server_is_asked(server: tuple[str, type[_Server]]) -> None:
    url, handler = server
    handler.states[:] = ["AVAILABLE"]
    wait_available(f"{url}, {url}", 2, timeout=5)
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


def test_a_name_with_several_addresses_gives_each(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("tfserving", 8501)
        return [(2, 1, 6, "", (address, port)) for address in ("10.0.0.2", "10.0.0.1", "fd00::1")]

    monkeypatch.setattr(serving.socket, "getaddrinfo", resolve)
    assert addresses("http://tfserving:8501/v1/models/all_smear") == [
        ("http://10.0.0.1:8501/v1/models/all_smear", "tfserving:8501"),
        ("http://10.0.0.2:8501/v1/models/all_smear", "tfserving:8501"),
        ("http://[fd00::1]:8501/v1/models/all_smear", "tfserving:8501"),
    ]


def test_https_keeps_the_name_its_certificate_is_for() -> None:
    url = "https://models.example/v1/models/all_smear"
    assert addresses(url) == [(url, "models.example")]


@pytest.mark.parametrize("url", ["tfserving:8501", "ftp://x/v1/models/m", "http://"])
def test_what_is_no_model_url_is_said(url: str) -> None:
    with pytest.raises(NotServedError, match="no http:// model URL"):
        addresses(url)
