"""The portal's forms; the models check, the services save."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from patients.covering import REASON_LENGTH, cover
from patients.models import EARLIEST_BIRTH, Patient, Specimen


class DateInput(forms.DateInput):
    """The browser's date picker."""

    input_type = "date"

    def format_value(self, value: Any) -> Any:
        """ISO 8601, whatever the language, as HTML wants it."""
        return value.isoformat() if hasattr(value, "isoformat") else value


class DateTimeInput(forms.DateTimeInput):
    """The browser's date and time picker."""

    input_type = "datetime-local"

    def format_value(self, value: Any) -> Any:
        """ISO 8601 to the minute, or to the second where a machine stamped seconds."""
        if not isinstance(value, datetime):
            return value
        return value.strftime("%Y-%m-%dT%H:%M:%S" if value.second else "%Y-%m-%dT%H:%M")


class CorrectionMixin(forms.BaseForm):
    """Asks for the reason where a signed case states what is changed."""

    instance: Any

    def ask_reason(self) -> None:
        """Add the field if it is needed; the service checks what was typed."""
        if cover().covers(self.instance):
            self.fields["reason"] = forms.CharField(
                label=_("Reason for the correction"),
                required=False,
                max_length=REASON_LENGTH,
                help_text=_(
                    "A signed case states this: the correction opens it for an amendment, which "
                    "has to be signed, and stays in the record with your name and reason."
                ),
                widget=forms.TextInput(attrs={"autocomplete": "off"}),
            )


class PatientForm(CorrectionMixin, forms.ModelForm[Patient]):
    """A patient's details."""

    class Meta:
        model = Patient
        fields = ["medical_record_number", "name", "date_of_birth", "sex"]
        labels = {
            "medical_record_number": _("Medical record number"),
            "name": _("Name"),
            "date_of_birth": _("Date of birth"),
            "sex": _("Sex"),
        }
        widgets = {"date_of_birth": DateInput(attrs={"min": EARLIEST_BIRTH.isoformat()})}
        error_messages = {
            "medical_record_number": {"required": _("Enter the medical record number.")},
            "name": {"required": _("Enter the patient's name.")},
            "date_of_birth": {"invalid": _("Enter a real date, or leave it empty.")},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("medical_record_number", "name"):
            # A shared workstation must not offer one patient's details for the next.
            self.fields[name].widget.attrs.update({"autocomplete": "off", "spellcheck": "false"})
        self.ask_reason()

    def changes(self) -> dict[str, Any]:
        """The changed fields, for the service."""
        return {name: self.cleaned_data[name] for name in self.changed_data}


class SpecimenForm(CorrectionMixin, forms.ModelForm[Specimen]):
    """A new specimen of the patient that ``instance`` names."""

    class Meta:
        model = Specimen
        fields = [
            "accession_number",
            "site",
            "stain",
            "objective",
            "collected_at",
            "received_at",
        ]
        labels = {
            "accession_number": _("Accession number"),
            "site": _("Site"),
            "stain": _("Stain"),
            "objective": _("Objective"),
            "collected_at": _("Collected at"),
            "received_at": _("Received at"),
        }
        widgets = {"collected_at": DateTimeInput(), "received_at": DateTimeInput()}
        error_messages = {
            "accession_number": {"required": _("Enter the accession number.")},
            "collected_at": {"invalid": _("Enter a real date and time, or leave it empty.")},
            "received_at": {"invalid": _("Enter a real date and time, or leave it empty.")},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["accession_number"].widget.attrs.update(
            {"autocomplete": "off", "spellcheck": "false"}
        )
        zone = timezone.get_current_timezone_name()
        for name in ("collected_at", "received_at"):
            self.fields[name].help_text = _("Date and time in {zone}.").format(zone=zone)

    def changes(self) -> dict[str, Any]:
        """The changed fields, for the service."""
        return {name: self.cleaned_data[name] for name in self.changed_data}


class SpecimenChangeForm(SpecimenForm):
    """An existing specimen; it can also be moved to the patient it really belongs to."""

    medical_record_number = forms.CharField(
        label=_("Patient"),
        help_text=_(
            "Medical record number; change it if the specimen was registered for the wrong patient."
        ),
        error_messages={"required": _("Enter the medical record number of the patient.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["medical_record_number"] = self.instance.patient.medical_record_number
        self.ask_reason()

    def clean_medical_record_number(self) -> Patient:
        """The patient with this number."""
        number = self.cleaned_data["medical_record_number"]
        patient = Patient.objects.filter(medical_record_number=number).first()
        if patient is None:
            raise ValidationError(
                _("No patient has this number; correct it, or register the patient first.")
            )
        return patient

    def changes(self) -> dict[str, Any]:
        """The changed fields, for the service."""
        changes = super().changes()
        if "medical_record_number" in changes:
            changes["patient"] = changes.pop("medical_record_number")
        return changes
