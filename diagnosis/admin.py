"""Diagnoses in Django admin: to read, and to try failed ones again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from diagnosis.models import Diagnosis
from diagnosis.services import diagnosis_retry
from diagnosis.state import Status
from webapp.audit.admin import ReadAuditedAdmin, ReadOnlyAdmin

admin.site.site_header = "Leukemia Detection administration · research use only"
admin.site.site_title = "Leukemia Detection administration"
admin.site.index_title = "Patients, specimens, users, audit"


@admin.register(Diagnosis)
class DiagnosisAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """Results are read-only for ever; diagnoses come of uploads alone."""

    list_display = (
        "id",
        "specimen",
        "status",
        "outcome",
        "predicted_class",
        "model_version",
        "failure",
        "created_at",
    )
    list_filter = ("outcome", "status", "model_version", "created_at")
    list_select_related = ("specimen",)
    search_fields = ("=specimen__accession_number", "=image_sha256", "=upload_sha256")
    search_help_text = "Accession number, or sha256 of the upload or of the stored image"
    show_full_result_count = False
    actions = ("retry_failed",)

    @admin.action(description="Retry failed diagnoses", permissions=["retry"])
    def retry_failed(self, request: HttpRequest, queryset: QuerySet[Diagnosis]) -> None:
        """Put the failed ones among the chosen back in the queue."""
        failed = queryset.filter(status=Status.FAILED)
        retried = sum(
            diagnosis_retry(actor=request.user, diagnosis=diagnosis)  # type: ignore[arg-type]
            for diagnosis in failed
        )
        chosen = queryset.count()
        text = f"{retried} of {chosen} chosen diagnoses will be tried again."
        if retried < chosen:
            text += " Only failed ones can be."
        self.message_user(request, text, messages.SUCCESS if retried else messages.WARNING)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Who may assign fields may also have them tried again."""
        return request.user.has_perm("diagnosis.change_diagnosis")
