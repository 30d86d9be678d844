"""The answer while as much is being decoded as one process may decode at once."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext

from diagnosis.core.errors import DecodersBusyError


def busy_response() -> HttpResponse:
    """503 with ``Retry-After``: nothing was stored, and asking again helps."""
    text = gettext("Too many pictures are being read just now. Try again in a moment.")
    response = HttpResponse(text, status=503, content_type="text/plain; charset=utf-8")
    response["Retry-After"] = str(DecodersBusyError.retry_after_s)
    return response


class BusyMiddleware:
    """Answers for any page whose picture found no turn."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """As if it were not there."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Django's hook for what a view raised."""
        return busy_response() if isinstance(error, DecodersBusyError) else None
