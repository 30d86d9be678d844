"""One id per request, in every log line, error and audit event that comes of it."""

import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

from webapp.telemetry.tracing import TRACE_ID, current_trace_id

_current: ContextVar[str] = ContextVar("request_id", default="-")
_SAFE = re.compile(r"[A-Za-z0-9._-]{8,64}\Z")


def current_request_id() -> str:
    """The id of the request being handled, or ``-`` outside one (worker, command)."""
    return _current.get()


class RequestIdMiddleware:
    """Takes ``X-Request-ID`` from the proxy if it is harmless, else makes one; echoes it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request under its id."""
        given = request.headers.get("X-Request-ID", "")
        token = _current.set(given if _SAFE.match(given) else uuid.uuid4().hex)
        request.request_id = _current.get()  # type: ignore[attr-defined]
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = _current.get()
            return response
        finally:
            _current.reset(token)


class RequestIdFilter(logging.Filter):
    """Gives every log record a ``request_id`` and, where requests are traced, a ``trace_id``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record.

        Django logs a refused request after the middleware is done, with the request beside it.
        """
        request = getattr(record, "request", None)
        record.request_id = getattr(request, "request_id", _current.get())
        record.trace_id = getattr(request, "META", {}).get(TRACE_ID) or current_trace_id()
        return True
