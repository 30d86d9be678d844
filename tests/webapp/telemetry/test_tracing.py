"""What of a trace leaves, and that nothing is loaded where nothing is traced."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from tests.product import KEY, ROOT, clean_environment
from tests.waiting import WITHIN_S
from tests.webapp.telemetry.collector import Collector
from webapp.telemetry.tracing import current_trace_id, span
from webapp.telemetry.tracing_export import DiscreetExporter

NAME = "Quentin Zweig"

# Everything that a request or a task imports.
LOADED = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import webapp.wsgi, webapp.urls, diagnosis.tasks
from webapp.telemetry.tracing import span
with span("x", diagnosis__id=1) as current:
    current.set_attribute("y", 2)
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""

# One traced call of a model server, inside a step of ours.
CALL = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import requests, webapp.wsgi
from webapp.telemetry.tracing import current_trace_id, span
with span("diagnosis.predict"):
    requests.post(sys.argv[1], data=b"pixels")
    print(current_trace_id())
"""


def run(code: str, *arguments: str, **variables: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=clean_environment(SECRET_KEY=KEY, **variables),
        capture_output=True,
        text=True,
        check=True,
        timeout=WITHIN_S,
    ).stdout.strip()


@pytest.fixture
def model_server() -> Iterator[http.server.HTTPServer]:
    """Keeps in ``traceparent`` what the last call brought."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.traceparent = self.headers["traceparent"]  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_off_nothing_of_opentelemetry_is_loaded() -> None:
    assert json.loads(run(LOADED, TRACES_URL="").replace("'", '"')) == []


def test_on_it_is() -> None:
    assert "opentelemetry.sdk" in run(LOADED, TRACES_URL="http://127.0.0.1:1/v1/traces")


def test_off_a_span_is_nothing_and_there_is_no_trace() -> None:
    with span("diagnosis.screen", model__version=1) as current:
        current.set_attribute("diagnosis.outcome", "suspicious")
        assert current_trace_id() == ""


def test_a_call_of_a_model_server_belongs_to_the_trace(
    model_server: http.server.HTTPServer,
) -> None:
    """W3C ``traceparent`` goes along, and the sending of the spans is itself no span."""
    address = f"http://127.0.0.1:{model_server.server_port}/v1/models/all_smear:predict"
    with Collector() as collector:
        trace_id = run(CALL, address, TRACES_URL=collector.url)
        spans = collector.spans()
    step, call = spans["diagnosis.predict"], spans["POST"]
    assert len(spans) == 2
    assert (step.trace_id.hex(), call.trace_id.hex()) == (trace_id, trace_id)
    assert call.parent_span_id == step.span_id
    assert address in collector.attributes(call).values()
    came: str = model_server.traceparent  # type: ignore[attr-defined]
    assert came.startswith(f"00-{trace_id}-{call.span_id.hex()}-0")


def exported(**changes: object) -> ReadableSpan:
    """What leaves of a span into which an instrumentation has put a person's name."""
    sent = InMemorySpanExporter()
    fields: dict[str, object] = {
        "name": "GET patients/",
        "kind": SpanKind.SERVER,
        "attributes": {
            "http.url": f"http://host/patients/?q={NAME}",
            "http.target": f"/patients/{NAME}",
            "http.user_agent": NAME,
            "http.route": "patients/",
            "diagnosis.id": 7,
        },
        "events": [
            Event(
                "exception",
                {
                    "exception.type": "ValueError",
                    "exception.message": NAME,
                    "exception.stacktrace": NAME,
                },
            )
        ],
        "status": Status(StatusCode.ERROR, f"ValueError: {NAME}"),
        "resource": Resource({"service.name": "leukemia-web"}),
        "start_time": 1,
        "end_time": 2,
        **changes,
    }
    DiscreetExporter(sent).export([ReadableSpan(**fields)])  # type: ignore[arg-type]
    (span,) = sent.get_finished_spans()
    return span


def test_no_more_leaves_than_is_listed() -> None:
    span = exported()
    assert NAME not in span.to_json()
    assert span.attributes == {"http.route": "patients/", "diagnosis.id": 7}
    assert [event.attributes for event in span.events] == [{"exception.type": "ValueError"}]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.start_time, span.end_time) == (1, 2)
    assert span.resource.attributes["service.name"] == "leukemia-web"


def test_of_our_own_calls_the_address_leaves() -> None:
    called = {"http.url": "http://tfserving:8501/v1/models/all_smear", "http.request.body": NAME}
    assert exported(kind=SpanKind.CLIENT, attributes=called).attributes == {
        "http.url": "http://tfserving:8501/v1/models/all_smear"
    }
