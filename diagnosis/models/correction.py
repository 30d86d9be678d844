"""What was corrected of the patient and specimen that a case is about."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from diagnosis.models.signoff import Amendment
from patients.models import Patient, Specimen
from webapp.audit.append_only import AppendOnly

# What the content of a report states of them; ``reports.content`` reads no more.
STATED: dict[type[models.Model], tuple[str, ...]] = {
    Patient: ("medical_record_number", "name", "date_of_birth", "sex", "is_demonstration"),
    Specimen: (
        "patient",
        "accession_number",
        "site",
        "stain",
        "objective",
        "collected_at",
        "received_at",
    ),
}


class IdentityCorrection(AppendOnly):
    """A correction of what a signed case states of its patient or specimen; also that a specimen
    with fields was moved to another patient before its case was signed.

    Attributes:
        patient: in whose record it was made; of a specimen that was moved, the one it came from.
        to_patient: where the specimen went; empty if it was not moved.
        specimen: that was corrected; empty for the patient's own details.
        changes: ``[{"field", "from", "to"}]`` by name of field; text, ISO 8601 or null.
        reason: never empty where a case was signed.
    """

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="+")
    to_patient = models.ForeignKey(
        Patient, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    specimen = models.ForeignKey(
        Specimen, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    changes = models.JSONField()
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Correction {self.pk} in the record of patient {self.patient_id}"


class CorrectedCase(AppendOnly):
    """That a correction concerns a case which was signed: the amendment that states it."""

    correction = models.ForeignKey(
        IdentityCorrection, on_delete=models.PROTECT, related_name="cases"
    )
    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="corrections")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["correction", "amendment"], name="correction_once_an_amendment"
            ),
        ]

    def __str__(self) -> str:
        return f"Correction {self.correction_id} in amendment {self.amendment_id}"
