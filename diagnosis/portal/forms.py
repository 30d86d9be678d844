"""The portal's forms on diagnoses."""

from django import forms
from django.core.exceptions import ValidationError

from diagnosis.imaging.contract import LABELS
from diagnosis.state import Verdict
from patients.models import Specimen


class AssignForm(forms.Form):
    """Which specimen an unassigned field belongs to."""

    accession_number = forms.CharField(
        max_length=64, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )

    def clean_accession_number(self) -> Specimen:
        """The specimen with this number."""
        number = self.cleaned_data["accession_number"]
        specimen = Specimen.objects.filter(accession_number=number).first()
        if specimen is None:
            raise ValidationError(
                f"There is no specimen {number}. Check the number, or register the specimen on "
                "its patient's page first."
            )
        return specimen


class ReadingForm(forms.Form):
    """The class that a reader states without being asked to agree: a blinded reading, or a later
    one by the same reader."""

    UNUSABLE = "unusable"

    reading = forms.ChoiceField(
        choices=[*((label, label) for label in LABELS), (UNUSABLE, UNUSABLE)]
    )
    reason = forms.CharField(max_length=500, required=False)

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
    reason = forms.CharField(max_length=500, required=False)
