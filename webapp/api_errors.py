"""The one API error shape: RFC 9457 problem details, ``application/problem+json``."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from webapp.request_id import current_request_id

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(exceptions.APIException):
    """An API error with a code of our own and any further members.

    Args:
        status: HTTP status.
        code: stable machine-readable name.
        detail: a sentence that says what is wrong and how to mend it.
        members: further top-level members, e.g. ``validation``.

    Attributes:
        wait: seconds for the header ``Retry-After``, where there is to be one.
    """

    wait: int | None = None

    def __init__(self, status: int, code: str, detail: str, **members: Any) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.members = members


def problem(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """The document of one problem."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": current_request_id(),
        **members,
    }


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler: every API error becomes a problem document.

    What DRF does not know returns ``None`` and becomes Django's 500, which ``server_error``
    renders without any of its content.
    """
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    elif isinstance(error, RequestDataTooBig):
        error = Problem(413, "upload_too_large", "The request is larger than this server takes.")
    response = exception_handler(error, dict(context))
    if response is None or not isinstance(error, exceptions.APIException):
        return response
    members: dict[str, Any] = {}
    if isinstance(error, Problem):
        code, detail, members = error.code, str(error.detail), error.members
    elif isinstance(error, exceptions.ValidationError):
        code, detail = "invalid", "Some fields are missing or wrong; `errors` names each."
        members = {"errors": error.detail}
    else:
        code, detail = str(error.get_codes()), str(error.detail).rstrip(".") + "."
    response.data = problem(response.status_code, code, detail, **members)
    response.content_type = MEDIA_TYPE
    return response


def _json(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(problem(status, code, detail), status=status, content_type=MEDIA_TYPE)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400``: also what Django raises for a body that is too large."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return _json(400, "bad_request", "The request cannot be understood.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return _json(404, "not_found", "There is nothing at this address; see /api/docs.")


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: generic message, the log line carries the request id."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return _json(
        500, "server_error", "Something went wrong here; give the request id to your operator."
    )
