"""Patients and specimens in Django admin, audited like everywhere else."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import QuerySet
from django.forms import CharField
from django.http import HttpRequest

from patients import selectors, services
from patients.covering import REASON_LENGTH, ChangeRefusedError, cover
from patients.forms import AdminClockField, SeenForm
from patients.models import Patient, Specimen
from webapp.audit.admin import ReadAuditedAdmin
from webapp.audit.services import audit_record
from webapp.text.template_filters import clock


class CorrectionAdminForm(SeenForm):
    """Checks a change before it is made, and takes the reason that it may need.

    What is stored is compared under a lock that admin's transaction holds until it is saved.

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
            self._require_unchanged()
            try:
                reason = cleaned.get("reason", "")
                cover().check(self.actor, self.instance, self.changed_data, reason)
            except ChangeRefusedError as refusal:
                at = "reason" if refusal.code == "reason_missing" else None
                self.add_error(at, str(refusal))
        return cleaned

    def _require_unchanged(self) -> None:
        """Refuse to write over what the editor has not seen."""
        rows = type(self.instance)._default_manager.select_for_update()
        try:
            services.require_unchanged(rows.get(pk=self.instance.pk), self.data.get("seen", ""))
        except services.ChangedMeanwhileError as changed:
            self.show_both(changed.stored)
            raise


class _ServiceAdmin(ReadAuditedAdmin):
    """Changes and deletions go through the services, which audit them. Admin itself refuses to
    delete what is protected."""

    form = CorrectionAdminForm
    find: Callable[..., QuerySet[Any]]
    update: Callable[..., object]
    remove: Callable[..., object]

    def save_model(
        self, request: HttpRequest, obj: Patient | Specimen, form: SeenForm, change: bool
    ) -> None:
        """Save what the form has checked; admin has opened the transaction."""
        name = obj._meta.model_name
        if change:
            self.update(actor=request.user, **{str(name): obj}, **form.changes())
        else:
            super().save_model(request, obj, form, change)
            audit_record(actor=request.user, action=f"{name}.created", target=obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[SeenForm]:
        """As Django's, for whoever asks; the reason is asked for changes alone."""
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"actor": request.user})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the reason where a row is added."""
        fields = super().get_fields(request, obj)
        return fields if obj else [name for name in fields if name != "reason"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """As the portal searches; a search of too much finds nothing and says so."""
        try:
            selectors.validate_search(search_term)
        except ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return queryset.none(), False
        if not search_term:
            return queryset, False
        found = self.find(search=search_term).order_by()
        return queryset.filter(pk__in=found.values("pk")), False

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
    # Their names alone make admin show a search; what it finds, `find` says.
    search_fields = ("searched",)

    find = staticmethod(selectors.patient_list)
    update = staticmethod(services.patient_update)
    remove = staticmethod(services.patient_delete)


@admin.register(Specimen)
class SpecimenAdmin(_ServiceAdmin):
    """Specimens."""

    list_display = ("accession_number", "patient", "site", "stain", "collected", "received")
    list_filter = ("site", "stain", "objective")
    list_select_related = ("patient",)
    search_fields = ("accession_number",)
    formfield_overrides = {models.DateTimeField: {"form_class": AdminClockField}}
    autocomplete_fields = ("patient",)

    @admin.display(description="collected at", ordering="collected_at")
    def collected(self, specimen: Specimen) -> str:
        """On the laboratory's clock."""
        return clock(specimen.collected_at) if specimen.collected_at else "-"

    @admin.display(description="received at", ordering="received_at")
    def received(self, specimen: Specimen) -> str:
        """On the laboratory's clock."""
        return clock(specimen.received_at) if specimen.received_at else "-"

    find = staticmethod(selectors.specimen_list)
    update = staticmethod(services.specimen_update)
    remove = staticmethod(services.specimen_delete)
