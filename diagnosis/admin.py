"""Diagnoses, cases and reviews in Django admin: to read, and to try failed fields again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django_tasks_db.admin import DBTaskResultAdmin
from django_tasks_db.models import DBTaskResult

from diagnosis.core.state import Status
from diagnosis.fields.intake import diagnosis_retry
from diagnosis.models import (
    Amendment,
    Case,
    Conclusion,
    CorrectedCase,
    Diagnosis,
    IdentityCorrection,
    Report,
    Review,
    Signature,
    Withdrawal,
)
from webapp.audit.admin import ReadAuditedAdmin, ReadOnlyAdmin

admin.site.site_header = "Leukemia Detection administration · research use only"
admin.site.site_title = "Leukemia Detection administration"
admin.site.index_title = "Patients, specimens, users, audit"


admin.site.unregister(DBTaskResult)


@admin.register(DBTaskResult)
class TaskAdmin(ReadAuditedAdmin, DBTaskResultAdmin):
    """Background tasks; they name rows by their ids."""


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


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """Cases are counted and moved by the software; people work on them in the portal."""

    list_display = ("id", "specimen", "status", "priority", "headline", "assignee", "created_at")
    list_filter = ("status", "headline", "priority", "created_at")
    list_select_related = ("specimen", "assignee")
    search_fields = ("=specimen__accession_number",)
    show_full_result_count = False


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """What people said of fields; each word stays."""

    list_display = ("id", "diagnosis", "reviewer", "verdict", "label", "blinded", "created_at")
    list_filter = ("verdict", "label", "blinded", "created_at")
    list_select_related = ("diagnosis", "reviewer")
    search_fields = ("=diagnosis__id", "=reviewer__username")
    show_full_result_count = False


@admin.register(Withdrawal)
class WithdrawalAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """Fields that were taken out, by whom and why."""

    list_display = ("id", "diagnosis", "author", "reason", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("diagnosis", "author")
    search_fields = ("=diagnosis__id", "=author__username")
    show_full_result_count = False


@admin.register(IdentityCorrection)
class IdentityCorrectionAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """What was corrected of who signed cases are about."""

    list_display = ("id", "patient", "to_patient", "specimen", "author", "reason", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("patient", "to_patient", "specimen", "author")
    search_fields = ("=specimen__accession_number", "=author__username")
    show_full_result_count = False


class _SignoffAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """What people answer for: never changed."""

    show_full_result_count = False


@admin.register(Conclusion)
class ConclusionAdmin(_SignoffAdmin):
    """What readers concluded on cases."""

    list_display = ("id", "case", "author", "headline", "created_at")
    list_filter = ("headline", "created_at")
    list_select_related = ("case", "author")
    search_fields = ("=case__specimen__accession_number", "=author__username")


@admin.register(Signature)
class SignatureAdmin(_SignoffAdmin):
    """Who signed what, when and in what meaning."""

    list_display = ("id", "case", "printed_name", "meaning", "signed_at", "content_sha256")
    list_filter = ("meaning", "signed_at")
    list_select_related = ("case",)
    search_fields = ("=case__specimen__accession_number", "=signer__username", "=content_sha256")


@admin.register(Report)
class ReportAdmin(_SignoffAdmin):
    """Signed states of cases."""

    list_display = ("id", "case", "number", "content_sha256", "pdf_sha256", "created_at")
    list_filter = ("created_at",)
    list_select_related = ("case",)
    search_fields = ("=case__specimen__accession_number", "=content_sha256", "=pdf_sha256")


@admin.register(Amendment)
class AmendmentAdmin(_SignoffAdmin):
    """Why signed cases were opened again."""

    list_display = ("id", "report", "author", "kind", "reason", "created_at")
    list_filter = ("kind", "created_at")
    list_select_related = ("report", "author")
    search_fields = ("=report__case__specimen__accession_number", "=author__username")


@admin.register(CorrectedCase)
class CorrectedCaseAdmin(_SignoffAdmin):
    """Which amendments state which corrections."""

    list_display = ("id", "correction", "amendment")
    list_select_related = ("correction", "amendment")
    search_fields = ("=amendment__report__case__specimen__accession_number",)
