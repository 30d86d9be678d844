"""Writing audit events: explicit calls, no signals."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

from webapp.audit.models import AuditEvent
from webapp.request_id import current_request_id


def audit_record(
    *,
    actor: AbstractBaseUser | AnonymousUser | None,
    action: str,
    target: models.Model,
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Record that ``actor`` did ``action`` to, or read, ``target``.

    Call it inside the transaction of the write it describes, so that neither stands alone.

    Args:
        actor: the signed-in user, or ``None`` for the system itself.
        action: ``<entity>.<verb>``, e.g. ``patient.created`` or ``diagnosis.viewed``.
        target: a saved row.
        detail: JSON-serialisable; names of fields and states, never patient data.
    """
    return AuditEvent.objects.create(
        actor=actor if actor is not None and actor.is_authenticated else None,  # type: ignore[misc]
        action=action,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        detail=detail or {},
        request_id=current_request_id(),
    )
