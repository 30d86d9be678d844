"""The portal's forms; the models check, the services save."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from patients.covering import REASON_LENGTH, cover
from patients.models import EARLIEST_BIRTH, Patient, Specimen
from patients.services import row_version
from webapp.text.clock import comes_twice, from_clock, offset, on_clock
from webapp.text.typed import isolated


class DateInput(forms.DateInput):
    """The browser's date picker."""

    input_type = "date"

    def format_value(self, value: Any) -> Any:
        """ISO 8601, whatever the language, as HTML wants it."""
        return value.isoformat() if hasattr(value, "isoformat") else value


class DateTimeInput(forms.DateTimeInput):
    """The browser's date and time picker; in the hour that comes twice, text with the offset."""

    input_type = "datetime-local"

    def format_value(self, value: Any) -> Any:
        """ISO 8601 to the minute, or to the second where a machine stamped seconds."""
        if isinstance(value, str):
            try:
                value = parse_datetime(value) or value
            except ValueError:
                return value
        if not isinstance(value, datetime):
            return value
        local = value if value.tzinfo else value.replace(tzinfo=timezone.get_current_timezone())
        shown = value.replace(tzinfo=None).isoformat(
            timespec="seconds" if value.second else "minutes"
        )
        return f"{shown}{offset(local)}" if value.tzinfo or comes_twice(local) else shown

    def get_context(self, name: str, value: Any, attrs: Any) -> Any:
        """The picker has no place for an offset."""
        context = super().get_context(name, value, attrs)
        if has_offset(context["widget"]["value"]):
            context["widget"]["type"] = "text"
        return context


def has_offset(shown: str | None) -> bool:
    """Whether a time stands in its input with an offset."""
    return bool(shown and re.search(r"T.*[+-]", shown))


class ClockField(forms.DateTimeField):
    """A time on the laboratory's clock. Where that shows a time twice, the first is meant, unless
    the offset is given; a time that it never shows is refused."""

    widget = DateTimeInput

    def to_python(self, value: Any) -> datetime | None:
        """The time, aware; ``None`` if there is none."""
        return resolved(super().to_python, value)

    def prepare_value(self, value: Any) -> Any:
        """As the clock shows it; a time of before time zones, which it cannot show, in UTC."""
        if isinstance(value, datetime) and timezone.is_aware(value):
            local = on_clock(value)
            return local if local.year < EARLIEST_BIRTH.year else timezone.make_naive(local)
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """An unchanged reading of the clock is no change, whichever of two times it stands for."""
        if isinstance(initial, datetime) and isinstance(data, str) and not has_offset(data):
            try:
                read = parse_datetime(data.strip())
            except ValueError:
                return True
            shown = on_clock(initial) if timezone.is_aware(initial) else initial
            naive = shown.replace(tzinfo=None)
            if read is not None and read == naive.replace(microsecond=0, fold=0):
                return False
        return super().has_changed(initial, data)


class AdminClockField(forms.SplitDateTimeField):
    """``ClockField`` as Django admin asks for it, day and time each by itself."""

    def compress(self, data_list: Any) -> datetime | None:
        """The time, aware; ``None`` if there is none."""
        return resolved(super().compress, data_list)

    def prepare_value(self, value: Any) -> Any:
        """As the clock shows it."""
        if isinstance(value, datetime) and timezone.is_aware(value):
            return on_clock(value).replace(tzinfo=None)
        return value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compared as the clock shows it."""
        return super().has_changed(self.prepare_value(initial), data)


def resolved(read: Callable[[Any], datetime | None], value: Any) -> datetime | None:
    """What Django reads, with an answer where it refuses a reading of the clock as ambiguous.

    Raises:
        ValidationError: nothing can be read, or the clock is put forward past it.
    """
    try:
        return read(value)
    except ValidationError as error:
        if getattr(error, "code", "") != "ambiguous_timezone":
            raise
        at = from_clock((error.params or {})["datetime"])
    if at is None:
        raise ValidationError(
            _("There is no such time: the clocks are put forward past it. Correct the hour."),
            "no_such_time",
        )
    return at


class SeenForm(forms.ModelForm[Any]):
    """A form that knows what its editor was shown, so that nobody writes over what they never saw.

    ``seen`` is not required: what a program sends without it is not compared.
    """

    seen = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["seen"].initial = row_version(self.instance)

    def changes(self) -> dict[str, Any]:
        """The changed fields, for the service."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name != "seen"}

    def show_both(self, stored: Patient | Specimen) -> None:
        """Say at each field what is stored now where it is not what was typed; to save it again
        after that is a decision."""
        now = type(self)(instance=stored)
        for name in self.fields.keys() - {"seen", "reason"}:
            there, typed = now[name].value(), self[name].value()
            if self.fields[name].has_changed(there, typed):
                self.add_error(name, _("Stored now: %(value)s") % {"value": _shown(now[name])})
        posted = cast(QueryDict, self.data).copy()
        posted[self.add_prefix("seen")] = row_version(stored)
        self.data = posted


def _shown(field: forms.BoundField) -> str:
    """A field's value in words, isolated."""
    value = field.value()
    choices = dict(getattr(field.field, "choices", ()))
    if isinstance(value, date):
        value = date_format(value, "DATETIME_FORMAT" if isinstance(value, datetime) else None)
    return isolated(choices.get(value, value) or "–")


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


class PatientForm(CorrectionMixin, SeenForm):
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


class SpecimenForm(CorrectionMixin, SeenForm):
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
        field_classes = {"collected_at": ClockField, "received_at": ClockField}
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
            help_text = gettext("Date and time in {zone}.").format(zone=zone)
            if has_offset(self.fields[name].widget.format_value(self[name].value())):
                help_text += " " + gettext(
                    "The clocks were put back in this hour, which came twice: the larger offset is "
                    "the first time, the smaller the second."
                )
            self[name].help_text = help_text


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
