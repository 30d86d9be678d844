"""The portal's forms on diagnoses."""

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from diagnosis.imaging.contract import LABELS
from diagnosis.state import Verdict
from patients.models import Specimen


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
                params={"number": number},
            )
        return specimen


class ReviewForm(forms.Form):
    """What a person says of a field; which of it belongs together, ``cases`` decides."""

    verdict = forms.ChoiceField(choices=[(verdict.value, verdict.value) for verdict in Verdict])
    label = forms.ChoiceField(
        choices=[("", ""), *((label, label) for label in LABELS)], required=False
    )
    reason = forms.CharField(max_length=500, required=False)
