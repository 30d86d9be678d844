"""What holds for every request of an account."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render

from webapp.accounts.passwords.attempts import PausedError
from webapp.accounts.passwords.changes import CHANGE_CODE, CHANGE_SENTENCE, must_change
from webapp.accounts.sign_in.acting import acting_in
from webapp.accounts.sign_in.clients import browser_remember
from webapp.accounts.wording import duration
from webapp.api.errors import MEDIA_TYPE, problem

OPEN = ("own_password", "login", "logout", "set_language", "healthz", "readyz", "metrics")


class AccountsMiddleware:
    """Knows who acts, asks for a password that nobody else knows, and answers guessers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer; a browser that is signed in is known to that user from now on."""
        with acting_in(request):
            response = self.get_response(request)
        if request.user.is_authenticated:
            browser_remember(request, response, cast(int, request.user.pk))
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Before anything else, a password of one's own."""
        if not request.user.is_authenticated or not must_change(cast(User, request.user)):
            return None
        match = request.resolver_match
        if match is not None and match.url_name in OPEN:
            return None
        if request.path_info.startswith("/api/"):
            document = problem(403, CHANGE_CODE, CHANGE_SENTENCE)
            return JsonResponse(document, status=403, content_type=MEDIA_TYPE)
        return redirect("own_password")

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Tell who gave too many wrong passwords at sign-in how long to wait."""
        if not isinstance(error, PausedError):
            return None
        context = {"wait": duration(error.seconds), "again": request.get_full_path()}
        response = render(request, "registration/locked_out.html", context, status=429)
        response.headers["Retry-After"] = str(error.seconds)
        return response
