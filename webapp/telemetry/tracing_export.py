"""OpenTelemetry, set up so that no patient data leaves; imported by ``tracing`` alone.

Instrumentations note paths, query strings, user agents and the texts of exceptions. Every span
passes ``_discreet``, which keeps what is listed here and nothing else.
"""

from collections.abc import Mapping, Sequence

from django.conf import settings
from django.http import HttpRequest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status
from opentelemetry.util.types import AttributeValue

# Both generations of the semantic conventions: which of them comes is a matter of versions.
KEPT = frozenset(
    {
        "http.method",
        "http.request.method",
        "http.status_code",
        "http.response.status_code",
        "http.route",
        "error.type",
        "exception.type",
        "request.id",
        "diagnosis.accepted",
        "diagnosis.fields",
        "diagnosis.id",
        "model.name",
        "model.version",
    }
)
# Of calls that this product makes: it asks model servers, whose addresses name nobody.
KEPT_OF_CALLS = frozenset(
    {"http.url", "url.full", "net.peer.name", "net.peer.port", "server.address", "server.port"}
)
_SEND_WITHIN_S = 3.0


def start(url: str, service: str, trace_id_key: str) -> trace.Tracer:
    """Send the spans of requests, of calls by ``requests`` and of our own to ``url``.

    Args:
        trace_id_key: where in a request's environment its trace id is put.
    """

    def link(span: trace.Span, request: HttpRequest) -> None:
        """From the span to the log lines and, for lines that come after the span, back."""
        span.set_attribute("request.id", request.request_id)  # type: ignore[attr-defined]
        request.META[trace_id_key] = trace.format_trace_id(span.get_span_context().trace_id)

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = DiscreetExporter(OTLPSpanExporter(endpoint=url, timeout=_SEND_WITHIN_S))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(
        request_hook=link,
        middleware_position=settings.MIDDLEWARE.index(
            "diagnosis.operations.health.ProbesMiddleware"
        )
        + 1,
    )
    RequestsInstrumentor().instrument()
    return trace.get_tracer("leukemia")


class DiscreetExporter(SpanExporter):
    """Passes on what of each span may leave."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans."""
        return self._exporter.export([_discreet(span) for span in spans])

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._exporter.force_flush(timeout_millis)


def _discreet(span: ReadableSpan) -> ReadableSpan:
    """The span with nothing that could name a person: names are routes, errors their type."""
    keys = KEPT | KEPT_OF_CALLS if span.kind is SpanKind.CLIENT else KEPT
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_only(keys, span.attributes),
        events=[
            Event(event.name, _only(KEPT, event.attributes), event.timestamp)
            for event in span.events
        ],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _only(
    keys: frozenset[str], attributes: Mapping[str, AttributeValue] | None
) -> dict[str, AttributeValue]:
    return {key: value for key, value in (attributes or {}).items() if key in keys}
