"""Append-only record of who did, or saw, what."""

from django.conf import settings
from django.db import models

from webapp.audit.append_only import AppendOnly


class AuditEvent(AppendOnly):
    """One write, or one read of patient data.

    ``actor`` is empty for what the system does by itself (worker, command), and where nobody is
    signed in; users with events cannot be deleted, only deactivated. ``detail`` names fields and
    states; of what identifies a person or specimen it also keeps what that was and became.
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

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["target_type", "target_id"], name="audit_target")]

    def __str__(self) -> str:
        return f"{self.action} {self.target_type} {self.target_id}"
