"""The portal's forms on diagnoses."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.state import CONCLUSIONS, Verdict
from diagnosis.models.labels import choices
from patients.fields import TextFormField
from patients.models import Specimen
from webapp.text.typed import isolated


class AssignForm(forms.Form):
    """Which specimen an unassigned field belongs to."""

    accession_number = forms.CharField(
        label=_("Accession number"),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_accession_number(self) -> Specimen:
        """The specimen with this number."""
        number = self.cleaned_data["accession_number"]
        specimen = Specimen.objects.filter(accession_number=number).first()
        if specimen is None:
            raise ValidationError(
                _(
                    "There is no specimen %(number)s. Check the number, or register the specimen "
                    "on its patient's page first."
                ),
                params={"number": isolated(number)},
            )
        return specimen


class WithdrawForm(forms.Form):
    """Why a field does not belong where it is."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        help_text=_("It stands in the record and in the report."),
        error_messages={"required": _("Give a reason: it stands in the record and the report.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ReadingForm(forms.Form):
    """The class that a reader states without being asked to agree: a blinded reading, or a later
    one by the same reader."""

    UNUSABLE = "unusable"

    reading = forms.ChoiceField(
        choices=[*((label, label) for label in LABELS), (UNUSABLE, UNUSABLE)]
    )
    reason = TextFormField(max_length=500, required=False)

    def clean_reading(self) -> str:
        """The class; empty for a field that is unusable."""
        reading: str = self.cleaned_data["reading"]
        return "" if reading == self.UNUSABLE else reading


class ReviewForm(forms.Form):
    """What a person says of a field; which of it belongs together, ``cases`` decides."""

    verdict = forms.ChoiceField(choices=[(verdict.value, verdict.value) for verdict in Verdict])
    label = forms.ChoiceField(
        choices=[("", ""), *((label, label) for label in LABELS)], required=False
    )
    reason = TextFormField(max_length=500, required=False)


class AmendForm(forms.Form):
    """Why a signed case is opened again."""

    reason = TextFormField(max_length=500, required=False)


class SignForm(forms.Form):
    """A conclusion, and the password of whoever signs it."""

    headline = forms.ChoiceField(
        label=_("Conclusion"),
        widget=forms.RadioSelect,
        choices=choices(CONCLUSIONS),
        error_messages={"required": _("Choose what you conclude.")},
    )
    comment = TextFormField(
        label=_("Comment"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "dir": "auto"}),
        help_text=_("For whoever reads the report."),
    )
    reason = TextFormField(
        label=_("Reason for differing from the software"),
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"dir": "auto"}),
        help_text=_("Needed if your conclusion is not what the software suggests."),
    )
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": _("Enter your password: it is your signature.")},
    )
    # sha256 of what the page showed: nobody signs what has changed since. Not shown.
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)
