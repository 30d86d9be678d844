"""What they get for whose user name too many wrong passwords were given."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.audit.services import audit_record


def locked_out(
    request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None
) -> HttpResponse:
    """The page that says so, with status 429; django-axes calls this in place of ``response``.

    The wrong password that closed the account is audited; tries while it is closed are not, or a
    guesser could fill the audit trail.
    """
    user = User.objects.filter(username=(credentials or {}).get("username")).first()
    if user is not None and request.axes_failures_since_start:  # type: ignore[attr-defined]
        audit_record(actor=None, action="user.locked_out", target=user)
    minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
    return render(request, "registration/locked_out.html", {"minutes": minutes}, status=429)
