"""Who signed in and out, who tried to, and who was refused what."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from webapp.audit.models import AuditEvent
from webapp.audit.services import audit_record

FAILED = "user.sign_in_failed"
# So many an account and so long are on record; a guesser cannot fill the trail.
FAILED_KEPT, FAILED_WITHIN = 10, timedelta(minutes=15)


@receiver(user_logged_in)
def _signed_in(user: User, **kwargs: Any) -> None:
    audit_record(actor=user, action="user.signed_in", target=user)


@receiver(user_logged_out)
def _signed_out(user: User | None, **kwargs: Any) -> None:
    if user is not None:
        audit_record(actor=user, action="user.signed_out", target=user)


@receiver(user_login_failed)
def _sign_in_failed(
    credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """A name that is nobody's is not kept: people type their password into that field."""
    user = getattr(request, "user", None)
    if user is None or user.is_authenticated:
        return  # a wrong password at signing, which has an event of its own
    tried = User.objects.filter(username=credentials.get("username") or "").first()
    since = timezone.now() - FAILED_WITHIN
    kept = AuditEvent.objects.filter(
        action=FAILED, target_id=str(tried.pk) if tried else "-", at__gt=since
    )
    if kept.count() < FAILED_KEPT:
        audit_record(actor=None, action=FAILED, target=tried or User)


class RefusedAccessMiddleware:
    """One event a request that a signed-in user is refused, in the portal, the API or admin."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as without it."""
        response = self.get_response(request)
        refused = response.status_code == 403 or _turned_away(request, response)
        if refused and request.user.is_authenticated:
            audit_record(
                actor=request.user,
                action="access.refused",
                target=request.user,
                detail={"method": request.method, "path": request.path[:300]},
            )
        return response


def _turned_away(request: HttpRequest, response: HttpResponse) -> bool:
    """Django admin sends to its sign-in, and answers with that page, who may not enter."""
    match = request.resolver_match
    return (
        match is not None
        and "admin" in match.app_names
        and match.url_name not in ("login", "logout")
        and response.status_code == 302
        and not admin.site.has_permission(request)
    )
