"""How much of a request's body each address takes, refused by its declared length.

Django would write the files of a form to the temporary folder before it knows who asks or what
for; no setting of its own bounds that.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.urls import Resolver404, resolve

from webapp.api.errors import length_required, too_large
from webapp.telemetry.metrics import UPLOAD_REFUSALS

FORM_OF_FIELDS = 256 * 2**20  # all fields of a form at once; as in serving/proxy/nginx.conf
ANYTHING_ELSE = 2**20  # the longest form is some ten kilobytes
DISCARDED_AT_MOST = 256 * 2**20

_PIECE = 2**16


def body_limit(path: str) -> int:
    """The largest body, in bytes, that the address ``path`` takes."""
    try:
        name = resolve(path).view_name
    except Resolver404:
        return ANYTHING_ELSE
    return _uploads().get(name, ANYTHING_ELSE)


def declared_length(headers: dict[str, Any]) -> int | None:
    """``CONTENT_LENGTH`` of a WSGI environment; ``None`` for a body that comes in chunks."""
    given = headers.get("CONTENT_LENGTH") or ""
    if not given and "HTTP_TRANSFER_ENCODING" in headers:
        return None
    return int(given) if given.isascii() and given.isdecimal() else 0


def discard(read: Callable[[int], bytes], length: int | None) -> None:
    """Let a client finish that sends everything before it listens: cut off, it would see a
    broken connection instead of the answer. A body beyond reason is cut off all the same."""
    if length is not None and length > DISCARDED_AT_MOST:
        return
    left = DISCARDED_AT_MOST
    while left > 0 and (piece := read(_PIECE)):
        left -= len(piece)


class BodyLimitMiddleware:
    """Refuses what is too large, or does not say how large it is, before anything keeps it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """411, 413, or what the view says."""
        length = declared_length(request.META)
        if length is None:
            return length_required(request)
        limit = body_limit(request.path_info)
        if length <= limit:
            return self.get_response(request)
        if limit != ANYTHING_ELSE:
            UPLOAD_REFUSALS.labels("upload_too_large").inc()
        with contextlib.suppress(UnreadablePostError):
            discard(request.read, length)
        return too_large(request, limit)


def _uploads() -> dict[str, int]:
    """The addresses that take pictures, by the name of their route."""
    return {
        "api_diagnose": settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        "specimen_detail": FORM_OF_FIELDS,
        "unassigned": FORM_OF_FIELDS,
    }
