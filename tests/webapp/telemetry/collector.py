"""A collector of traces, as OpenTelemetry's: OTLP over HTTP, decoded."""

import http.server
import threading
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.waiting import wait_until


class Collector:
    """Listens on ``url`` while its context lasts.

    Attributes:
        bodies: everything that was sent, as it was sent.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                collector.bodies.append(self.rfile.read(length))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> "Collector":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def all(self) -> list[tuple[str, Span]]:
        """Every span with the service that sent it, in the order of arrival."""
        return [
            (self.attributes(group.resource)["service.name"], span)
            for body in self.bodies
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def spans(self) -> dict[str, Span]:
        """The last span of each name."""
        return {span.name: span for _, span in self.all()}

    def wait_for(self, name: str, service: str) -> Span:
        """The first span ``name`` of ``service``.

        Raises:
            TimeoutError: it never came.
        """

        def first() -> Span | None:
            wanted = (service, name)
            return next((s for sender, s in self.all() if (sender, s.name) == wanted), None)

        found = wait_until(first, f"{name} of {service}")
        assert found
        return found

    @staticmethod
    def attributes(of: Any) -> dict[str, Any]:
        """The attributes of a span, event or resource."""
        return {
            item.key: getattr(item.value, item.value.WhichOneof("value")) for item in of.attributes
        }
