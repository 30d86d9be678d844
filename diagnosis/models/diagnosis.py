"""One uploaded field and what the software said about it."""

from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from diagnosis.core.imaging.contract import BENIGN
from diagnosis.core.state import ALLOWED, Headline, Status
from diagnosis.models.labels import choices

if TYPE_CHECKING:
    from diagnosis.models.withdrawal import Withdrawal

ATTEMPTS_ALLOWED = 8  # with the backoff of services, about ten minutes

RESULT_FIELDS = frozenset(
    {
        "status",
        "outcome",
        "predicted_class",
        "confidence",
        "probabilities",
        "ood_score",
        "validation",
        "model_name",
        "model_version",
        "model_digest",
        "model_architecture",
        "failure",
        "completed_at",
        "image_name",
        "colour_conversion",
        "image_sha256",
        "upload_sha256",
    }
)


# Each field is one of these: its outcome, or why it has none.
FIELD_KINDS = {
    "suspicious": Q(outcome=Headline.SUSPICIOUS),
    "indeterminate": Q(outcome=Headline.INDETERMINATE),
    "not_suspicious": Q(outcome=Headline.NOT_SUSPICIOUS),
    "rejected": Q(outcome=Headline.REJECTED),
    "waiting": Q(status=Status.RECEIVED),
    "failed": Q(status=Status.FAILED),
}


# Fields that belong where they are: one that was withdrawn counts nowhere.
STANDING = Q(withdrawal__isnull=True)

# Of cases and of diagnoses: `exclude` it from whatever counts or measures.
DEMONSTRATION = Q(specimen__patient__is_demonstration=True)


class ReadOnlyResultError(Exception):
    """Something tried to change or delete a stored result."""


class DiagnosisQuerySet(models.QuerySet["Diagnosis"]):
    """Reads, inserts, and the one way a status moves."""

    def move(self, current: Status, to: Status, **fields: Any) -> bool:
        """Set ``to`` and ``fields`` on the rows that are still ``current``; say if any was.

        Raises:
            ReadOnlyResultError: the transition is not in ``state.ALLOWED``.
        """
        if to not in ALLOWED[current]:
            raise ReadOnlyResultError(f"A {current} diagnosis does not become {to}.")
        return models.QuerySet.update(self.filter(status=current), status=to, **fields) > 0

    def update(self, **kwargs: Any) -> int:
        """As Django's, for what is no result.

        Raises:
            ReadOnlyResultError: a result field is among ``kwargs``; use ``move``.
        """
        if refused := RESULT_FIELDS & kwargs.keys():
            raise ReadOnlyResultError(f"Results are read-only: {', '.join(sorted(refused))}.")
        return super().update(**kwargs)

    def bulk_create(self, *args: Any, **kwargs: Any) -> Any:
        """As Django's, but an existing row is never written over.

        Raises:
            ReadOnlyResultError: ``update_conflicts`` is set.
        """
        if kwargs.get("update_conflicts"):
            raise ReadOnlyResultError("Results are read-only: insert, or leave the row alone.")
        return super().bulk_create(*args, **kwargs)

    def delete(self) -> NoReturn:
        """Refused: records are kept."""
        raise ReadOnlyResultError("Diagnoses are never deleted.")


class Diagnosis(models.Model):
    """One field: the stored image, the input checks, the model's answer.

    The row is also the queue: ``lease_until``, ``attempts`` and ``next_attempt_at`` say who
    works on a ``received`` row, and when somebody may. Whoever wins the compare-and-set on them
    works; ``attempts``, which only ever grows, then fences off a worker that was declared dead
    too early.
    """

    STATUSES = choices(Status)
    OUTCOMES = choices(Headline)

    specimen = models.ForeignKey(
        "patients.Specimen",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="diagnoses",
    )
    # "<specimen id or 0>:<upload sha256>": the same upload on the same specimen is one
    # diagnosis. A column of its own, because NULLs never collide in a unique constraint.
    intake_key = models.CharField(max_length=96, unique=True, editable=False)

    file_name = models.CharField(max_length=255, blank=True)
    upload_sha256 = models.CharField(max_length=64)
    image_sha256 = models.CharField(max_length=64, db_index=True)
    image_name = models.CharField(max_length=255)
    media_type = models.CharField(max_length=32)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    # What was done about the upload's colour profile, as ``imaging.colour`` says it.
    colour_conversion = models.CharField(max_length=80, blank=True, default="", db_default="")

    status = models.CharField(max_length=16, choices=STATUSES, default=Status.RECEIVED.value)
    # NULL, not "": the API says null where there is no verdict, and constraints test for it.
    outcome = models.CharField(max_length=16, choices=OUTCOMES, null=True, blank=True)  # noqa: DJ001
    predicted_class = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001
    confidence = models.FloatField(null=True, blank=True)
    probabilities = models.JSONField(null=True, blank=True)
    ood_score = models.FloatField(null=True, blank=True)
    validation = models.JSONField(null=True, blank=True)
    model_name = models.CharField(max_length=64, blank=True)
    model_version = models.PositiveIntegerField(null=True, blank=True)
    model_digest = models.CharField(max_length=64, blank=True)
    model_architecture = models.CharField(max_length=64, blank=True)
    failure = models.CharField(max_length=64, blank=True)

    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    attempts_max = models.PositiveIntegerField(default=ATTEMPTS_ALLOWED)
    next_attempt_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    completed_at = models.DateTimeField(null=True, blank=True)

    concealed = False  # no column: ``blinding.conceal`` has taken the answer from this row

    objects = DiagnosisQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "diagnoses"
        indexes = [
            models.Index(fields=["status", "next_attempt_at"], name="diagnosis_queue"),
            models.Index(fields=["specimen", "-id"], name="diagnosis_specimen_recent"),
            # A period of the dashboard is counted, and thinned out, in the index alone.
            models.Index(fields=["created_at", "status", "specimen"], name="diagnosis_period"),
            # Without it a list of an outcome that is rare reads every row.
            models.Index(fields=["outcome", "-id"], name="diagnosis_outcome_recent"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in Status]),
                name="diagnosis_status_known",
            ),
            models.CheckConstraint(
                condition=(
                    Q(
                        status=Status.SCREENED,
                        outcome__in=[
                            Headline.INDETERMINATE,
                            Headline.SUSPICIOUS,
                            Headline.NOT_SUSPICIOUS,
                        ],
                        predicted_class__isnull=False,
                        confidence__isnull=False,
                        model_version__isnull=False,
                    )
                    | Q(
                        status=Status.REFUSED,
                        outcome=Headline.REJECTED,
                        predicted_class__isnull=True,
                        confidence__isnull=True,
                        model_version__isnull=False,
                    )
                    | Q(
                        status__in=[Status.RECEIVED, Status.FAILED],
                        outcome__isnull=True,
                        predicted_class__isnull=True,
                        confidence__isnull=True,
                    )
                ),
                name="diagnosis_result_fits_status",
            ),
        ]

    def __str__(self) -> str:
        return f"Diagnosis {self.pk}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; later changes go through ``services``, and a second save is refused."""
        if not self._state.adding:
            raise ReadOnlyResultError("Diagnoses change only through diagnosis.fields.intake.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        """The portal page of this field."""
        return reverse("diagnosis_detail", args=[self.pk])

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: records are kept."""
        raise ReadOnlyResultError("Diagnoses are never deleted.")

    @property
    def withdrawn(self) -> "Withdrawal | None":
        """That it was taken out, by whom and why; ``None`` for a field that counts."""
        return getattr(self, "withdrawal", None)

    @property
    def class_and_outcome_differ(self) -> bool:
        """Whether the most probable class alone would have suggested another headline."""
        if self.status != Status.SCREENED:
            return False
        expected = (
            Headline.NOT_SUSPICIOUS if self.predicted_class == BENIGN else Headline.SUSPICIOUS
        )
        return self.outcome != expected
