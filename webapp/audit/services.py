"""Writing audit events."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models

from webapp.audit.models import AuditEvent
from webapp.logs.request_id import current_request_id


def audit_record(
    *,
    actor: AbstractBaseUser | AnonymousUser | None,
    action: str,
    target: models.Model | type[models.Model],
    detail: dict[str, Any] | None = None,
) -> AuditEvent:
    """Record that ``actor`` did ``action`` to, or read, ``target``.

    Call it inside the transaction of the write it describes, so that neither stands alone.

    Args:
        actor: the signed-in user, or ``None`` for the system itself.
        action: ``<entity>.<verb>``, e.g. ``patient.created`` or ``diagnosis.viewed``.
        target: a saved row, or a model where there is none, e.g. no user of the name given.
        detail: JSON-serialisable; names of fields and states. Values only of what identifies a
            person or specimen and was changed: the trail is as protected as the record.
    """
    return AuditEvent.objects.create(
        actor=actor if actor is not None and actor.is_authenticated else None,  # type: ignore[misc]
        action=action,
        target_type=target._meta.label_lower,
        target_id=str(target.pk) if isinstance(target, models.Model) else "-",
        detail=detail or {},
        request_id=current_request_id(),
    )


def listing_record(
    *, actor: AbstractBaseUser | AnonymousUser | None, rows: Iterable[models.Model]
) -> None:
    """Audit that ``actor`` was shown one page of a list.

    One event a page, with the ids of what was on it; its target is the reader, because an
    event has one target. An empty page shows nobody's data and leaves no event.
    """
    shown = list(rows)
    if shown and isinstance(actor, models.Model):
        audit_record(
            actor=actor,
            action=f"{shown[0]._meta.model_name}.listed",
            target=actor,
            detail={"ids": [row.pk for row in shown]},
        )


def recorded_values(row: models.Model) -> dict[str, Any]:
    """All fields of a row but its key, as JSON has them; another row by its key, times in UTC."""
    return {
        field.name: _plain(getattr(row, field.attname))
        for field in row._meta.concrete_fields
        if not field.primary_key
    }


def recorded_change(
    before: dict[str, Any], after: dict[str, Any], fields: Iterable[str]
) -> dict[str, Any]:
    """The detail of an event of a change: which ``fields``, from what, to what."""
    names = sorted(fields)
    return {
        "fields": names,
        "from": {name: before[name] for name in names},
        "to": {name: after[name] for name in names},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value
