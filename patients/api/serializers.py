"""JSON of patients and specimens; what is valid is saved through the services.

``save`` takes ``actor``, the signed-in user.
"""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.timezone import get_current_timezone
from rest_framework import serializers

from patients import selectors, services
from patients.covering import REASON_LENGTH
from patients.models import Patient, Specimen
from webapp.api.form_fields import LARGEST_ID, StrictModelSerializer, WholeField
from webapp.text.clock import comes_twice, from_clock, on_clock


class PatientQuery(serializers.Serializer[Any]):
    """Query parameters of the patients' list."""

    search = serializers.CharField(
        default="",
        allow_blank=True,
        help_text="Words that must all occur in the record number, the name or an accession "
        "number.",
    )

    def validate_search(self, search: str) -> str:
        """At most so many words."""
        try:
            selectors.validate_search(search)
        except ValidationError as error:
            raise serializers.ValidationError(error.messages) from error
        return search


class ClockField(serializers.DateTimeField):
    """A time in the laboratory's zone, in UTC where its offset there cannot be written."""

    default_error_messages = {
        "make_aware": "In {timezone} this time comes twice or never: send it with its offset."
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        """An aware time, as the clock shows it."""
        if value.tzinfo is not None:
            return on_clock(value)
        local = value.replace(tzinfo=get_current_timezone())
        if comes_twice(local) or from_clock(value) is None:
            self.fail("make_aware", timezone=local.tzinfo)
        return local


class SpecimenQuery(PatientQuery):
    """Query parameters of the specimens' list."""

    patient = WholeField(
        source="patient_id",
        required=False,
        min_value=1,
        max_value=LARGEST_ID,
        help_text="Only the specimens of the patient with this `id`.",
    )


class _CorrectionMixin(serializers.Serializer[Any]):
    """Takes the reason for a change of what a signed case states."""

    reason = serializers.CharField(
        write_only=True,
        required=False,
        max_length=REASON_LENGTH,
        help_text="Why it is corrected; needed if a signed case states it, which then has to be "
        "signed again. Only of a change.",
    )

    def validate_reason(self, reason: str) -> str:
        """Nothing is corrected by registering it."""
        if self.instance is None:
            raise serializers.ValidationError("Give a reason with a change alone.")
        return reason


class PatientSerializer(_CorrectionMixin, StrictModelSerializer):
    """A patient."""

    class Meta:
        model = Patient
        fields = [
            "id",
            "medical_record_number",
            "name",
            "date_of_birth",
            "sex",
            "is_demonstration",
            "created_at",
            "reason",
        ]
        read_only_fields = ["is_demonstration"]

    def create(self, validated_data: dict[str, Any]) -> Patient:
        """Register a patient."""
        return services.patient_create(**validated_data)

    def update(self, instance: Patient, validated_data: dict[str, Any]) -> Patient:
        """Change the patient."""
        return services.patient_update(patient=instance, **validated_data)


class SpecimenSerializer(_CorrectionMixin, StrictModelSerializer):
    """A specimen; ``patient`` is the patient's ``id``."""

    serializer_field_mapping = {
        **StrictModelSerializer.serializer_field_mapping,
        models.DateTimeField: ClockField,
    }

    is_demonstration = serializers.BooleanField(
        source="patient.is_demonstration",
        read_only=True,
        help_text="No person: drawn by the software.",
    )

    class Meta:
        model = Specimen
        fields = [
            "accession_number",
            "patient",
            "collected_at",
            "received_at",
            "stain",
            "site",
            "objective",
            "is_demonstration",
            "created_at",
            "reason",
        ]

    def create(self, validated_data: dict[str, Any]) -> Specimen:
        """Register a specimen."""
        return services.specimen_create(**validated_data)

    def update(self, instance: Specimen, validated_data: dict[str, Any]) -> Specimen:
        """Change the specimen."""
        return services.specimen_update(specimen=instance, **validated_data)
