"""Append-only record of who did, or saw, what."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models


class AppendOnlyError(Exception):
    """Something tried to change or delete an audit event."""


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Reads and inserts only."""

    def update(self, **kwargs: Any) -> NoReturn:
        """Refused: events are history."""
        raise AppendOnlyError("Audit events are never changed.")

    def delete(self) -> NoReturn:
        """Refused: events are history."""
        raise AppendOnlyError("Audit events are never deleted.")

    def bulk_create(self, *args: Any, **kwargs: Any) -> Any:
        """Inserts only: an existing event is never written over."""
        if kwargs.get("update_conflicts"):
            raise AppendOnlyError("Audit events are never changed.")
        return super().bulk_create(*args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: events are history."""
        raise AppendOnlyError("Audit events are never changed.")


class AuditEvent(models.Model):
    """One write, or one read of patient data.

    ``actor`` is empty for what the system does by itself (worker, command); users with events
    cannot be deleted, only deactivated. ``detail`` names fields and states, never patient data.
    """

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    action = models.CharField(max_length=64, db_index=True)
    target_type = models.CharField(max_length=64)
    target_id = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, default="-")

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["target_type", "target_id"], name="audit_target")]

    def __str__(self) -> str:
        return f"{self.action} {self.target_type} {self.target_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; a second save is refused."""
        if not self._state.adding:
            raise AppendOnlyError("Audit events are never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: events are history."""
        raise AppendOnlyError("Audit events are never deleted.")
