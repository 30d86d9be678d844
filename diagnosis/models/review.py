"""What people say of single fields; each word stays."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.state import Verdict
from diagnosis.models.diagnosis import Diagnosis
from diagnosis.models.labels import choices
from webapp.audit.append_only import AppendOnly


class Review(AppendOnly):
    """A person's reading of one field. The latest counts; the earlier ones stay.

    Attributes:
        label: the class that the reader sees: the software's where the reader agrees, another
            where not; empty for a field that is unusable.
        blinded: the reader had not seen the software's answer.
    """

    VERDICTS = choices(Verdict)
    CLASSES = [(label, label) for label in LABELS]

    diagnosis = models.ForeignKey(Diagnosis, on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    verdict = models.CharField(max_length=16, choices=VERDICTS)
    label = models.CharField(max_length=64, choices=CLASSES, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    blinded = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["diagnosis", "-id"], name="review_latest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(verdict=Verdict.UNUSABLE, label="")
                | Q(verdict__in=[Verdict.AGREE, Verdict.OVERRIDE], label__in=LABELS),
                name="review_label_fits_verdict",
            ),
            models.CheckConstraint(
                condition=Q(verdict=Verdict.AGREE) | Q(blinded=True) | ~Q(reason=""),
                name="review_other_than_agree_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"Review {self.pk} of diagnosis {self.diagnosis_id}"
