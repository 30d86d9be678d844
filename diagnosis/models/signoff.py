"""What people answer for: the conclusion on a case, signatures, reports, amendments.

Each row is written once. A change of mind is another row, and the latest counts.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from diagnosis.core.state import CONCLUSIONS, AmendmentKind, Meaning
from diagnosis.models.case import Case
from diagnosis.models.labels import choices
from webapp.audit.append_only import AppendOnly


class Conclusion(AppendOnly):
    """What a reader concludes on a case from all of its fields.

    Attributes:
        headline: one of ``state.CONCLUSIONS``.
        comment: for whoever reads the report.
        reason: why it differs from what the software suggests; empty where it does not.
    """

    HEADLINES = choices(CONCLUSIONS)

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="conclusions")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    headline = models.CharField(max_length=16, choices=HEADLINES)
    comment = models.TextField(max_length=2000, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["case", "-id"], name="conclusion_latest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(headline__in=[value.value for value in CONCLUSIONS]),
                name="conclusion_headline_known",
            )
        ]

    def __str__(self) -> str:
        return f"Conclusion {self.pk} on case {self.case_id}"


class Signature(AppendOnly):
    """A person's signature under the content of a case (21 CFR 11.50: name, time, meaning).

    It holds for exactly the content whose sha256 it carries: when anything of the case changes
    before the report is made, the signature does not count for the new content.

    Attributes:
        printed_name: the signer's name as it was then.
        content_sha256: of the canonical JSON that was signed (``reports.content``).
    """

    MEANINGS = choices(Meaning)

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="signatures")
    signer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    printed_name = models.CharField(max_length=302)
    meaning = models.CharField(max_length=16, choices=MEANINGS)
    content_sha256 = models.CharField(max_length=64)
    signed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(meaning__in=[meaning.value for meaning in Meaning]),
                name="signature_meaning_known",
            ),
            models.UniqueConstraint(
                fields=["case", "content_sha256", "signer"], name="signature_once_a_person"
            ),
        ]

    def __str__(self) -> str:
        return f"Signature {self.pk} under case {self.case_id}"


class Report(AppendOnly):
    """A signed state of a case: its content, and the PDF that was made of it then.

    Attributes:
        number: 1 for the first, 2 for its amendment, and so on.
        content: canonical JSON, exactly the text that was signed.
        pdf_name: file below ``MEDIA_ROOT``; never made anew.
    """

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="reports")
    number = models.PositiveIntegerField()
    content = models.TextField()
    content_sha256 = models.CharField(max_length=64)
    pdf_name = models.CharField(max_length=255)
    pdf_sha256 = models.CharField(max_length=64, db_index=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="report_number_once"),
        ]

    def __str__(self) -> str:
        return f"Report {self.number} of case {self.case_id}"

    @property
    def signatures(self) -> "models.QuerySet[Signature]":
        """The signatures under this very content, the first signer's first."""
        return Signature.objects.filter(case=self.case_id, content_sha256=self.content_sha256)


class Amendment(AppendOnly):
    """A signed case is opened again: for what reason, and which report is to be amended.

    Attributes:
        kind: ``identity`` where a correction of patient or specimen has opened the case.
    """

    KINDS = choices(AmendmentKind)

    report = models.OneToOneField(Report, on_delete=models.PROTECT, related_name="amendment")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(
        max_length=16, choices=KINDS, default=AmendmentKind.CONTENT.value, editable=False
    )
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="amendment_has_reason"),
            models.CheckConstraint(
                condition=Q(kind__in=[kind.value for kind in AmendmentKind]),
                name="amendment_kind_known",
            ),
        ]

    def __str__(self) -> str:
        return f"Amendment {self.pk} of report {self.report_id}"
