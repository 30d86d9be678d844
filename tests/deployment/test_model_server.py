"""What TensorFlow Serving is configured with, and how its health is asked for."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from django.conf import settings

from diagnosis.core.predictors.store import Live, read_live
from diagnosis.core.predictors.tf_serving import BATCH, CALLS_AT_ONCE, Patience
from export.publishing.registry import models_config, named
from tests.deployment.laid_out.files import compose, container, flags
from tests.product import ROOT
from tests.tfserving.loading import Retries, Versions
from tests.tfserving.model_server import ModelServer, Store
from tests.waiting import WITHIN_S

FIELDS = {  # of tensorflow_serving's BatchingParameters
    "max_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "num_batch_threads",
    "enable_large_batch_splitting",
    "max_execution_batch_size",
}
AN_IMAGE_S = 0.020  # in batches of 16, at its slowest, as measured on two busy cores
PROCESSES = 3  # of the product, as Compose starts it: two of web, one worker
HANGS = "hangs"
STABLE = 12


def status(state: str, error_code: str = "OK") -> str:
    """The status page of the stable version, as recorded from TensorFlow Serving 2.19."""
    return (
        f'{{\n "model_version_status": [\n  {{\n   "version": "{STABLE}",\n'
        f'   "state": "{state}",\n   "status": {{\n    "error_code": "{error_code}",\n'
        '    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


class StatusPage(BaseHTTPRequestHandler):
    """Answers for one model, and keeps the connection unless asked to close it."""

    protocol_version = "HTTP/1.1"
    body = ""
    code = 200
    closing: ClassVar[list[str]] = []
    ended = threading.Event()

    def do_GET(self) -> None:
        """Send the page, or keep silent."""
        if self.body == HANGS:
            self.ended.wait(WITHIN_S)
            return
        self.closing.append(self.headers["Connection"])
        known = self.path == f"/v1/models/all_smear/versions/{STABLE}"
        body = (self.body if known else '{ "error": "Could not find any versions" }').encode()
        self.send_response(self.code if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    monkeypatch.setattr(StatusPage, "closing", [])
    monkeypatch.setattr(StatusPage, "ended", threading.Event())
    server = ThreadingHTTPServer(("127.0.0.1", 0), StatusPage)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    StatusPage.ended.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the script allows for an answer, a line for each; it gets minutes instead."""
    bounds = tmp_path / "bounds"
    stand_in = tmp_path / "timeout"
    stand_in.write_text(
        f'#!/bin/sh\necho "$1" >> "{bounds}"\nshift\n'
        f'exec {shutil.which("timeout")} {WITHIN_S:.0f} "$@"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return bounds


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The model's folder, in which another version is the previous one."""
    folder = tmp_path / "all_smear"
    folder.mkdir()
    (folder / "live.json").write_bytes(Live(stable=STABLE, canary=3, previous=11).to_json())
    return folder


def healthy(port: int, model: Path) -> bool:
    script = ROOT / "serving/available.sh"
    run = subprocess.run(["bash", script, model, str(port)], capture_output=True, timeout=WITHIN_S)
    return run.returncode == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (status("AVAILABLE"), True),
        (status("END"), False),
        (status("LOADING"), False),
        (status("UNLOADING"), False),
        (status("LOADING", error_code="UNAVAILABLE"), False),
        (status("START", error_code="AVAILABLE"), False),
        ("{}", False),
    ],
)
def test_healthy_means_that_the_stable_version_is_available(
    server: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    bounds: Path,
    model: Path,
    body: str,
    expected: bool,
) -> None:
    monkeypatch.setattr(StatusPage, "body", body)
    assert healthy(server.server_port, model) is expected
    assert StatusPage.closing == ["close"], "or the end of the page is waited for in vain"
    assert bounds.read_text() == "4\n"


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ('{"stable": 12}', True),
        ('{\n "previous": 12,\n "stable": 11\n}', False),
        ('{"stable": 1}', False),
        ('{"stable": null, "previous": 12}', False),
        ("", False),
    ],
)
def test_stable_is_what_live_json_says(
    server: ThreadingHTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    model: Path,
    live: str,
    expected: bool,
) -> None:
    monkeypatch.setattr(StatusPage, "body", status("AVAILABLE"))
    (model / "live.json").write_text(live)
    assert healthy(server.server_port, model) is expected
    (model / "live.json").unlink()
    assert not healthy(server.server_port, model)


def test_another_model_is_not_this_one(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setattr(StatusPage, "body", status("AVAILABLE"))
    assert not healthy(server.server_port, model.rename(model.with_name("another")))


def test_silent_server_is_not_healthy(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    """The script ends although the server says nothing for as long as this test lasts."""
    monkeypatch.setattr(StatusPage, "body", HANGS)
    assert not healthy(server.server_port, model)


def test_absent_server_is_not_healthy(unused_port: int, model: Path) -> None:
    assert not healthy(unused_port, model)


def test_the_servers_own_status_page_is_understood(model: Path) -> None:
    """The stand-in's: ready with the stable version, not with the previous one alone."""
    states = {11: "AVAILABLE", STABLE: "START"}
    versions = Versions(model / "unused", model, Retries())
    versions.look = lambda: states  # type: ignore[method-assign]
    with ModelServer(Store(model.parent, versions=versions)) as server:
        assert not healthy(server.port, model)
        states[STABLE] = "AVAILABLE"
        assert healthy(server.port, model)


def batching() -> dict[str, str]:
    text = re.sub(r"#.*", "", (ROOT / "serving/batching.config").read_text())
    assert re.sub(r"\w+ \{ value: \w+ \}", "", text).strip() == "", "nothing else stands in it"
    return dict(re.findall(r"(\w+) \{ value: (\w+) \}", text))


def test_batches_take_our_clients_largest_call() -> None:
    found = batching()
    assert set(found) == FIELDS, "an unknown field stops the server"
    assert int(found["max_batch_size"]) >= BATCH
    assert int(found["max_execution_batch_size"]) <= int(found["max_batch_size"])
    assert found["enable_large_batch_splitting"] == "true", "or larger calls are refused with 400"


def test_the_server_answers_in_time_what_it_takes_in() -> None:
    """And takes in what the product sends at once, so that its own calls do not hear 503."""
    found = batching()
    calls = int(found["num_batch_threads"]) + int(found["max_enqueued_batches"])
    assert calls * BATCH * AN_IMAGE_S <= Patience().read
    assert CALLS_AT_ONCE == settings.PREDICTOR_CALLS
    assert calls >= PROCESSES * CALLS_AT_ONCE


def test_status_pages_do_not_wait_behind_predictions() -> None:
    found = batching()
    calls = int(found["num_batch_threads"]) + int(found["max_enqueued_batches"])
    lone = int(found["num_batch_threads"]) * int(found["max_execution_batch_size"])
    for arguments in (
        compose()["services"]["tfserving"]["command"],
        container("tfserving")["args"],
    ):
        threads = int(flags(arguments)["rest_api_num_threads"])
        assert threads > calls + 1, "one more takes requests in, and one says that all is full"
        assert threads >= lone, "lone images fill a batch for each batch thread"


def test_figures_are_where_the_manual_says() -> None:
    text = (ROOT / "serving/monitoring.config").read_text()
    (path,) = re.findall(r'path: "(.+)"', text)
    assert "enable: true" in text
    manual = (ROOT / "docs/operations.md").read_text()
    assert f"metrics_path: {path}" in manual
    assert f"tfserving:8501{path}" in manual


def test_models_config_is_what_promote_would_write() -> None:
    live = read_live(ROOT / "serving/models", "all_smear")
    assert (ROOT / "serving/models.config").read_text() == models_config("all_smear", named(live))
