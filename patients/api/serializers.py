"""JSON of patients and specimens; what is valid is saved through the services.

``save`` takes ``actor``, the signed-in user.
"""

from typing import Any

from rest_framework import serializers

from patients import services
from patients.models import Patient, Specimen
from webapp.api_fields import LARGEST_ID, StrictModelSerializer, WholeField


class PatientQuery(serializers.Serializer[Any]):
    """Query parameters of the patients' list."""

    search = serializers.CharField(
        default="",
        allow_blank=True,
        help_text="Words that must all occur in the record number, the name or an accession "
        "number.",
    )


class SpecimenQuery(PatientQuery):
    """Query parameters of the specimens' list."""

    patient = WholeField(
        source="patient_id",
        required=False,
        min_value=1,
        max_value=LARGEST_ID,
        help_text="Only the specimens of the patient with this `id`.",
    )


class PatientSerializer(StrictModelSerializer):
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
        ]
        read_only_fields = ["is_demonstration"]

    def create(self, validated_data: dict[str, Any]) -> Patient:
        """Register a patient."""
        return services.patient_create(**validated_data)

    def update(self, instance: Patient, validated_data: dict[str, Any]) -> Patient:
        """Change the patient."""
        return services.patient_update(patient=instance, **validated_data)


class SpecimenSerializer(StrictModelSerializer):
    """A specimen; ``patient`` is the patient's ``id``."""

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
        ]

    def create(self, validated_data: dict[str, Any]) -> Specimen:
        """Register a specimen."""
        return services.specimen_create(**validated_data)

    def update(self, instance: Specimen, validated_data: dict[str, Any]) -> Specimen:
        """Change the specimen."""
        return services.specimen_update(specimen=instance, **validated_data)
