"""Patients and specimens in Django admin, audited like everywhere else."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.forms import CharField, ModelForm
from django.http import HttpRequest

from patients import services
from patients.covering import REASON_LENGTH, ChangeRefused, cover
from patients.models import Patient, Specimen
from webapp.audit.admin import ReadAuditedAdmin
from webapp.audit.services import audit_record


class CorrectionAdminForm(ModelForm[Any]):
    """Checks a change before it is made, and takes the reason that it may need.

    Attributes:
        actor: who makes it.
    """

    actor: AbstractBaseUser
    reason = CharField(
        required=False,
        max_length=REASON_LENGTH,
        help_text="Why it is corrected; needed if a signed case states it, which is then opened "
        "for an amendment.",
    )

    def clean(self) -> dict[str, Any]:
        """Say at the form what the service would refuse."""
        cleaned = super().clean() or self.cleaned_data
        if self.instance.pk:
            try:
                reason = cleaned.get("reason", "")
                cover().check(self.actor, self.instance, self.changed_data, reason)
            except ChangeRefused as refusal:
                at = "reason" if refusal.code == "reason_missing" else None
                self.add_error(at, str(refusal))
        return cleaned


class _ServiceAdmin(ReadAuditedAdmin):
    """Changes and deletions go through the services, which audit them. Admin itself refuses to
    delete what is protected."""

    form = CorrectionAdminForm
    update: Callable[..., object]
    remove: Callable[..., object]

    def save_model(
        self, request: HttpRequest, obj: Patient | Specimen, form: ModelForm[Any], change: bool
    ) -> None:
        """Save what the form has checked; admin has opened the transaction."""
        name = obj._meta.model_name
        if change:
            changes = {field: form.cleaned_data[field] for field in form.changed_data}
            self.update(actor=request.user, **{str(name): obj}, **changes)
        else:
            super().save_model(request, obj, form, change)
            audit_record(actor=request.user, action=f"{name}.created", target=obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[Any]]:
        """As Django's, for whoever asks; the reason is asked for changes alone."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": request.user})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the reason where a row is added."""
        fields = super().get_fields(request, obj)
        return fields if obj else [name for name in fields if name != "reason"]

    def delete_model(self, request: HttpRequest, obj: Patient | Specimen) -> None:
        """Delete one row."""
        self.remove(actor=request.user, **{str(obj._meta.model_name): obj})

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the chosen rows, all or none."""
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)


@admin.register(Patient)
class PatientAdmin(_ServiceAdmin):
    """Patients."""

    list_display = ("name", "medical_record_number", "date_of_birth", "sex", "is_demonstration")
    list_filter = ("sex", "is_demonstration")
    readonly_fields = ("is_demonstration",)
    search_fields = ("name", "medical_record_number", "specimens__accession_number")

    update = staticmethod(services.patient_update)
    remove = staticmethod(services.patient_delete)


@admin.register(Specimen)
class SpecimenAdmin(_ServiceAdmin):
    """Specimens."""

    list_display = ("accession_number", "patient", "site", "stain", "collected_at", "received_at")
    list_filter = ("site", "stain", "objective")
    list_select_related = ("patient",)
    search_fields = ("accession_number", "patient__name", "patient__medical_record_number")
    autocomplete_fields = ("patient",)

    update = staticmethod(services.specimen_update)
    remove = staticmethod(services.specimen_delete)
