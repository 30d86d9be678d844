"""A candidate version's answers, kept beside the results."""

from django.db import models

from diagnosis.models.diagnosis import Diagnosis


class ShadowAnswer(models.Model):
    """What a candidate version says of a field that the stable one screened; no result, not shown.

    It goes into ``manage.py shadow_report``, by which an ML engineer decides on a promotion.
    """

    diagnosis = models.ForeignKey(
        Diagnosis, on_delete=models.PROTECT, related_name="shadow_answers"
    )
    model_version = models.PositiveIntegerField()
    model_digest = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16)
    predicted_class = models.CharField(max_length=64, blank=True)
    probabilities = models.JSONField(null=True, blank=True)
    ood_score = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # The digest first: a candidate's answers are counted and its last one is looked for.
            models.UniqueConstraint(
                fields=["model_digest", "diagnosis"], name="shadow_answer_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Version {self.model_version} on diagnosis {self.diagnosis_id}"
