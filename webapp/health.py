"""Whether the process lives, and whether it can do its work."""

from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse

from diagnosis.errors import ContractError
from diagnosis.media import media_is_writable
from diagnosis.predictor import stable_predictor


@login_not_required
def healthz(request: HttpRequest) -> JsonResponse:
    """Liveness: this process answers."""
    return JsonResponse({"status": "ok"})


@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """Readiness: 503 only when database or storage fail; 200 ``degraded`` without a model,
    because uploads must still be accepted."""
    parts = {"database": _database(), "storage": _storage(), "model": _model()}
    vital = parts["database"] == parts["storage"] == "ok"
    status = "unavailable" if not vital else "ok" if parts["model"] == "ok" else "degraded"
    return JsonResponse({"status": status, **parts}, status=200 if vital else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return "unreachable"
    return "ok"


def _storage() -> str:
    return "ok" if media_is_writable() else "not writable"


def _model() -> str:
    try:
        available = stable_predictor().is_available()
    except ContractError:
        return "no version is live"
    return "ok" if available else "away"
