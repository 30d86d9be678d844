"""The guided start on the pages that show it, and hiding it."""

from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from diagnosis.demonstration.guide import demonstration_pending, guide_of
from patients.models import Specimen

READ = "diagnosis.add_review"
HIDDEN_FOR_S = 365 * 24 * 60 * 60


def guide_context(request: HttpRequest, specimen: Specimen | None = None) -> dict[str, Any]:
    """``guide`` and ``demonstration_pending`` for a template.

    Neither for who reads no fields, or has hidden it.

    Args:
        specimen: the one that the page shows; its guide is that of its own case.
    """
    user = cast(User, request.user)
    hidden = _cookie(user) in request.COOKIES
    if hidden or not user.has_perm(READ) or (specimen and not specimen.patient.is_demonstration):
        return {}
    guide = guide_of(user, specimen_id=specimen.pk if specimen else None)
    return {"guide": guide, "demonstration_pending": guide is None and demonstration_pending()}


@require_POST
@permission_required(READ, raise_exception=True)
def guide_hide(request: HttpRequest) -> HttpResponse:
    """Show it no more to this user in this browser."""
    response = redirect("worklist")
    response.set_cookie(
        _cookie(cast(User, request.user)),
        "1",
        max_age=HIDDEN_FOR_S,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


def _cookie(user: User) -> str:
    """Several people share a workstation, so the cookie has the user's number in its name."""
    return f"guide_hidden_{user.pk}"
