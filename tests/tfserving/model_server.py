"""A model server for tests: TensorFlow Serving's REST interface, with manners or without.

In a test, ``ModelServer(script)`` gives each request to ``script``, which says what to send back:
a recorded answer, silence, half an answer, nothing. As a process,
``python -m tests.tfserving.model_server --store DIR --port N`` answers with the published
versions that ``models.config`` names, and can be killed.

With ``threads`` it is slow as TensorFlow Serving's REST interface is: so many requests, status
pages among them, are worked on at once, and all others wait without end and without being told.
"""

import argparse
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.tfserving.loading import AVAILABLE, Retries, Versions
from tests.tfserving.runtimes import RUNTIMES, RefusedError, Runtime

VERSION_PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+))?(?P<verb>:.*)?")


@dataclass(frozen=True)
class Asked:
    """One request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the server does about a request.

    Attributes:
        silent: nothing is sent, as long as the server lives.
        cut_after: send only so many bytes of the body, then close the connection.
        between: what happens between single bytes of the body.
        hang_up: close the connection instead of answering.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    cut_after: int | None = None
    between: Callable[[], None] | None = None
    hang_up: bool = False


Script = Callable[[Asked], Reply]


def json_reply(document: Any, status: int = 200, **how: Any) -> Reply:
    """``document`` as TensorFlow Serving would send it; NaN stays bare."""
    return Reply(status, json.dumps(document).encode(), **how)


def error_reply(status: int, message: str) -> Reply:
    """An error as TensorFlow Serving words it."""
    return json_reply({"error": message}, status)


class ModelServer:
    """Serves ``script`` on a free port of the loopback address, in threads of this process.

    Attributes:
        script: may be exchanged between requests.
        asked: every request so far, those that wait for a thread included.
        connections: how many were opened.
    """

    def __init__(self, script: Script, port: int = 0, threads: int | None = None) -> None:
        self.script = script
        self.turn = threading.Semaphore(threads) if threads else contextlib.nullcontext()
        self.asked: list[Asked] = []
        self.connections = 0
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.owner = self
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """Of the model ``all_smear`` here."""
        return f"http://127.0.0.1:{self.port}/v1/models/all_smear"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()

    def serve_forever(self) -> None:
        """Until the process is killed."""
        self._server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: ModelServer

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()
        self.ended = threading.Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.owner.connections += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def drop_connections(self) -> None:
        """As if the process were gone: kept connections end too."""
        for request in list(self._open):
            with contextlib.suppress(OSError):  # it may have ended already
                request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        owner = self.server.owner
        asked = Asked(self.command, self.path, dict(self.headers.items()), body)
        owner.asked.append(asked)
        with owner.turn:
            reply = owner.script(asked)
        if reply.silent:
            self.server.ended.wait()
        if reply.silent or reply.hang_up:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body))}
        for name, value in (headers | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        sent = reply.body[: reply.cut_after]
        if reply.between:
            for byte in sent:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                reply.between()
        else:
            self.wfile.write(sent)
        self.wfile.flush()
        if reply.cut_after is not None or reply.headers.get("Connection") == "close":
            self.close_connection = True


class Store:
    """A script that answers with the versions that ``versions`` has loaded from ``store``."""

    def __init__(
        self, store: Path, runtime: str = "litert", versions: Versions | None = None
    ) -> None:
        """By default with what ``models.config`` beside ``store`` names of ``all_smear``."""
        self._store = store
        self._runtime = RUNTIMES[runtime]
        config = store.parent / "models.config"
        self._versions = versions or Versions(config, store / "all_smear", Retries())
        self._loaded: dict[Path, Runtime] = {}
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Reply:
        matched = VERSION_PATH.fullmatch(asked.path)
        if matched is None or (verb := matched["verb"] or "") not in ("", ":predict"):
            return error_reply(400, f"Malformed request: {asked.method} {asked.path}")
        name, states = matched["name"], self._versions.look()
        if not states or not (self._store / name).is_dir():
            return error_reply(404, f"Could not find any versions of model {name}")
        if asked.method == "GET" and not verb:
            shown = [int(matched["version"])] if matched["version"] else sorted(states)
            if not states.keys() >= set(shown):
                return error_reply(404, f"Could not find version {shown[0]} of model {name}")
            statuses = [_status(version, states[version]) for version in shown]
            return json_reply({"model_version_status": statuses})
        served = [version for version, state in states.items() if state == AVAILABLE]
        version = int(matched["version"] or max(served, default=0))
        if version not in served:
            return error_reply(404, f"Servable not found for request: Specific({name}, {version})")
        return self._predict(self._load(self._store / name / str(version)), asked.body)

    def _load(self, folder: Path) -> Runtime:
        with self._lock:
            if folder not in self._loaded:
                self._loaded[folder] = self._runtime(folder)
            return self._loaded[folder]

    def _predict(self, runtime: Runtime, body: bytes) -> Reply:
        try:
            request = json.loads(body)
            signature = request.get("signature_name", "serving_default")
            return json_reply({"predictions": runtime.run(signature, request["instances"])})
        except RefusedError as refusal:
            return error_reply(400, str(refusal))
        except ValueError as error:
            return error_reply(400, f"JSON Parse error: {error}")


def _status(version: int, state: str) -> dict[str, Any]:
    return {
        "version": str(version),
        "state": state,
        "status": {"error_code": "OK", "error_message": ""},
    }


def main() -> None:
    """Serve a model store as a process of its own.

    Raises:
        SystemExit: a version cannot be loaded; the port was never opened.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--runtime", choices=RUNTIMES, default="litert")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--threads", type=int, help="requests worked on at once; all, if unsaid")
    parser.add_argument("--model_config_file", type=Path, help="default: beside the store")
    parser.add_argument("--max_num_load_retries", type=int, default=5)
    parser.add_argument("--load_retry_interval_micros", type=int, default=60_000_000)
    options = parser.parse_args()
    config = options.model_config_file or options.store.parent / "models.config"
    retries = Retries(options.max_num_load_retries, options.load_retry_interval_micros / 1e6)
    versions = Versions(config, options.store / "all_smear", retries)
    if not versions.start():
        raise SystemExit(f"Some models could not be loaded: {versions.states}")
    script = Store(options.store, options.runtime, versions)

    def slowly(asked: Asked) -> Reply:
        time.sleep(options.delay)
        return script(asked)

    answers = slowly if options.delay else script
    ModelServer(answers, options.port, options.threads).serve_forever()


if __name__ == "__main__":
    main()
