"""Values that no database can compare with, in addresses and forms that somebody made up."""

import logging
from collections.abc import Callable

from django.db import ProgrammingError
from django.http import HttpRequest, HttpResponse

from webapp.api.errors import bad_request

logger = logging.getLogger(__name__)

# Django admin hands what stands in an address to its queries as it is, and catches little of it.
_OF_ADMIN = (ValueError, TypeError, ProgrammingError)


class CraftedRequestMiddleware:
    """Answers 400 where a query failed of the value that was asked for, not of the database."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """A refusal for a number beyond all bounds anywhere, and in admin for any wrong value.

        The trace is logged, so that a defect is not taken for somebody's play.
        """
        in_admin = request.path_info.startswith("/admin/") and isinstance(error, _OF_ADMIN)
        if not in_admin and not isinstance(error, OverflowError):
            return None
        logger.warning("A value was refused: %s", type(error).__name__, exc_info=error)
        return bad_request(request, error)
