"""Fields that were taken out of a case, or out of those that wait for a specimen."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from diagnosis.models.diagnosis import Diagnosis
from webapp.audit.append_only import AppendOnly


class Withdrawal(AppendOnly):
    """A field does not belong where it is. It stays in the record and counts nowhere; there is no
    way back but to upload the image again."""

    diagnosis = models.OneToOneField(Diagnosis, on_delete=models.PROTECT, related_name="withdrawal")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="withdrawal_has_reason"),
        ]

    def __str__(self) -> str:
        return f"Withdrawal of diagnosis {self.diagnosis_id}"
