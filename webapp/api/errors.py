"""The one API error shape: RFC 9457 problem details, ``application/problem+json``."""

import logging
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from webapp.domain_error import DomainError
from webapp.logs.request_id import current_request_id
from webapp.unavailable import Trouble, trouble_of

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(exceptions.APIException):
    """An API error with a code of our own and any further members.

    Args:
        status: HTTP status.
        code: stable machine-readable name.
        detail: a sentence that says what is wrong and how to mend it.
        wait: seconds after which to ask again, for ``Retry-After``.
        members: further top-level members, e.g. ``validation``.

    Attributes:
        wait: seconds for the header ``Retry-After``, where there is to be one.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, wait: int | None = None, **members: Any
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.members = members
        if wait is not None:
            self.wait = wait  # which DRF's handler makes a header of


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
    elif isinstance(error, DomainError):
        error = domain_problem(error)
    elif trouble := trouble_of(error):
        log_trouble(trouble)
        error = unavailable_problem(trouble)
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


def domain_problem(error: DomainError) -> Problem:
    """What a service refused, as the API says it."""
    members = {**error.members, **({"fix": error.hint} if error.hint else {})}
    return Problem(409 if error.at_odds else 422, error.code, error.sentences, **members)


def problem_answer(status: int, code: str, detail: str, **members: Any) -> JsonResponse:
    """The answer with one problem, for what is refused before any view is asked."""
    document = problem(status, code, detail, **members)
    return JsonResponse(document, status=status, content_type=MEDIA_TYPE)


class UnavailableMiddleware:
    """Turns what a view met of a database or disk that is busy, away or full into a 503."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Nothing; Django calls ``process_exception``."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """The 503, or ``None`` for what waiting does not mend."""
        trouble = trouble_of(error)
        if trouble is None:
            return None
        log_trouble(trouble)
        return unavailable(request, trouble)


def unavailable(request: HttpRequest, trouble: Trouble) -> HttpResponse:
    """503 with ``Retry-After``: a problem document below ``/api/``, else a page, which asks
    neither database nor session."""
    if request.path.startswith("/api/"):
        found = unavailable_problem(trouble)
        response: HttpResponse = problem_answer(503, found.code, str(found.detail))
    else:
        context = {"message": gettext(trouble.message)}
        response = render(None, "503.html", context, status=503)  # type: ignore[arg-type]
    response["Retry-After"] = str(trouble.retry_after_s)
    return response


def unavailable_problem(trouble: Trouble, detail: str = "") -> Problem:
    """The API's 503 with ``Retry-After``; ``detail`` says more than the trouble itself."""
    said = detail or f"{trouble.message} Send the request again after `Retry-After` seconds."
    return Problem(503, trouble.code, said, wait=trouble.retry_after_s)


def log_trouble(trouble: Trouble) -> None:
    """One line; the texts of databases may quote what was written."""
    logger.warning("Answered 503: %s", trouble.code)


def too_large(request: HttpRequest, limit: int) -> HttpResponse:
    """413 for a body of more than ``limit`` bytes."""
    if not request.path.startswith("/api/"):
        return render(None, "413.html", {"limit": limit}, status=413)  # type: ignore[arg-type]
    detail = f"The request is larger than the {limit} bytes that this address takes."
    return problem_answer(413, "upload_too_large", detail)


def length_required(request: HttpRequest) -> HttpResponse:
    """411 for a body that comes in chunks, without saying how long it is."""
    if not request.path.startswith("/api/"):
        return HttpResponse("Send the body with a Content-Length.\n", "text/plain", status=411)
    return problem_answer(411, "length_required", "Send the body with a Content-Length.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400``: also what Django raises for a body that is too large."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return problem_answer(400, "bad_request", "The request cannot be understood.")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return problem_answer(404, "not_found", "There is nothing at this address; see /api/docs.")


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: generic message, the log line carries the request id.

    What middleware met (sessions, sign-in) comes here without passing any view.
    """
    if trouble := trouble_of(sys.exc_info()[1]):
        return unavailable(request, trouble)
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return problem_answer(
        500, "server_error", "Something went wrong here; give the request id to your operator."
    )
