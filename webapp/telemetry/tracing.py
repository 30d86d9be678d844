"""Traces where TRACES_URL says so; elsewhere nothing of OpenTelemetry is even imported.

The lowest layer: whatever happens can be a span. ``tracing_export`` says what leaves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

TRACE_ID = "leukemia.trace_id"  # in a request's environment, for lines logged after its span
Value = str | int | float | bool

_tracer: Any = None  # an OpenTelemetry tracer, once started


class Span(Protocol):
    """What a step of the work can say about itself: ids, versions, outcomes; no patient data."""

    def set_attribute(self, key: str, value: Value) -> None:
        """Note ``value``; ``webapp.telemetry.tracing_export`` lists the keys that leave."""


class _NoSpan:
    """What there is where nothing is traced."""

    def set_attribute(self, key: str, value: Value) -> None:
        """Forget it."""


_NO_SPAN = _NoSpan()


def start(url: str, service: str) -> None:
    """Send spans to ``url`` (OTLP over HTTP) as ``service``; an empty one leaves tracing off.

    Call it once in every process, after any fork: a thread sends the spans.
    """
    global _tracer
    if url and _tracer is None:
        from webapp.telemetry import tracing_export

        _tracer = tracing_export.start(url, service, TRACE_ID)


@contextmanager
def span(name: str, **attributes: Value) -> Iterator[Span]:
    """Time a step of the work as ``name``; in an attribute's name, ``__`` stands for a dot."""
    if _tracer is None:
        yield _NO_SPAN
        return
    dotted = {key.replace("__", "."): value for key, value in attributes.items()}
    with _tracer.start_as_current_span(name, attributes=dotted) as current:
        yield current


def current_trace_id() -> str:
    """32 hexadecimal digits, or nothing outside a trace."""
    if _tracer is None:
        return ""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
