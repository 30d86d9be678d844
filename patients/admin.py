"""Patients and specimens in Django admin, audited like everywhere else."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse

from patients import services
from patients.models import Patient, Specimen
from webapp.audit.services import audit_record


class _AuditedAdmin(admin.ModelAdmin[Any]):
    """Writes and reads leave audit events. Admin itself refuses to delete what is protected."""

    def save_model(
        self, request: HttpRequest, obj: Patient | Specimen, form: ModelForm[Any], change: bool
    ) -> None:
        """Save what the form has checked; admin has opened the transaction."""
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            self.update_model(request, obj, changes)
        else:
            super().save_model(request, obj, form, change)
            action = f"{obj._meta.model_name}.created"
            audit_record(actor=request.user, action=action, target=obj)

    def update_model(
        self, request: HttpRequest, obj: Patient | Specimen, changes: dict[str, Any]
    ) -> None:
        """Change a stored row through its service."""
        raise NotImplementedError

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Opening a row is a read."""
        if obj is not None and request.method == "GET":
            audit_record(actor=request.user, action=f"{obj._meta.model_name}.viewed", target=obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the chosen rows, all or none."""
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)


@admin.register(Patient)
class PatientAdmin(_AuditedAdmin):
    """Patients."""

    list_display = ("name", "medical_record_number", "date_of_birth", "sex")
    list_filter = ("sex",)
    search_fields = ("name", "medical_record_number", "specimens__accession_number")

    def update_model(self, request: HttpRequest, obj: Any, changes: dict[str, Any]) -> None:
        """Through the service."""
        services.patient_update(actor=request.user, patient=obj, **changes)

    def delete_model(self, request: HttpRequest, obj: Patient) -> None:
        """Through the service."""
        services.patient_delete(actor=request.user, patient=obj)


@admin.register(Specimen)
class SpecimenAdmin(_AuditedAdmin):
    """Specimens."""

    list_display = ("accession_number", "patient", "site", "stain", "collected_at", "received_at")
    list_filter = ("site", "stain")
    list_select_related = ("patient",)
    search_fields = ("accession_number", "patient__name", "patient__medical_record_number")
    autocomplete_fields = ("patient",)

    def update_model(self, request: HttpRequest, obj: Any, changes: dict[str, Any]) -> None:
        """Through the service."""
        services.specimen_update(actor=request.user, specimen=obj, **changes)

    def delete_model(self, request: HttpRequest, obj: Specimen) -> None:
        """Through the service."""
        services.specimen_delete(actor=request.user, specimen=obj)
