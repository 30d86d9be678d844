"""JSON of diagnoses, and what the API takes in."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from diagnosis.api.fields import Base64ImageField, UploadedImageField
from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.state import Headline, Status
from diagnosis.models import Diagnosis
from patients.models import Specimen
from webapp.api.errors import Problem
from webapp.api.form_fields import StrictSerializer, TextField

_TAKEN = "JPEG, PNG, TIFF, BMP, WebP, still GIF, or a DICOM VL Microscopic Image of one frame"


class AccessionMixin(StrictSerializer):
    """Turns ``specimen``, an accession number, into the specimen."""

    def validate_specimen(self, accession: str | None) -> Specimen | None:
        """The specimen; ``None`` if none was named."""
        if accession is None:
            return None
        if not accession:  # lost on the way, and the field would lose its patient with it
            raise serializers.ValidationError(
                "The accession number is empty: send it, or leave `specimen` out to keep the "
                "field unassigned.",
                "blank",
            )
        specimens = Specimen.objects.select_related("patient")
        specimen = specimens.filter(accession_number=accession).first()
        if specimen is None:
            raise Problem(
                422,
                "unknown_specimen",
                "No specimen has this accession number. Register it first "
                "(POST /api/specimens), or send the image without `specimen`.",
            )
        return specimen


class _DiagnoseRequest(AccessionMixin):
    """What JSON and multipart have in common."""

    specimen = TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        default=None,
        help_text="Accession number. Without it the field stays unassigned.",
    )
    file_name = TextField(
        required=False, allow_blank=True, max_length=255, help_text="Shown beside the image."
    )


class DiagnoseRequest(_DiagnoseRequest):
    """A field as JSON."""

    image = Base64ImageField(
        help_text=f"The image file as base64: {_TAKEN}. A data-URL prefix and line breaks are "
        "allowed."
    )


class DiagnoseForm(_DiagnoseRequest):
    """A field as a form with a file; the part's file name stands in for ``file_name``."""

    image = UploadedImageField(help_text=f"The image file: {_TAKEN}.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the name of the file where no other is given."""
        attrs.setdefault("file_name", self.initial_data["image"].name or "")
        return attrs


class AssignRequest(AccessionMixin):
    """The specimen of an unassigned field."""

    specimen = TextField(help_text="Accession number.")


class WithdrawRequest(StrictSerializer):
    """Why a field is withdrawn."""

    reason = serializers.CharField(
        max_length=500, help_text="It stands in the record and in the report of its case."
    )


class WithdrawalSerializer(serializers.Serializer[Any]):
    """That a field was withdrawn."""

    by = serializers.CharField(source="author.username")
    at = serializers.DateTimeField(source="created_at")
    reason = serializers.CharField()


class DiagnosisFilter(serializers.Serializer[Any]):
    """Query parameters of the list."""

    specimen = serializers.CharField(required=False, help_text="Accession number.")
    status = serializers.ChoiceField([status.value for status in Status], required=False)
    outcome = serializers.ChoiceField([headline.value for headline in Headline], required=False)


class CheckSerializer(serializers.Serializer[Any]):
    """One input check."""

    name = serializers.CharField()
    score = serializers.FloatField(help_text="Larger is better.")
    threshold = serializers.FloatField(help_text="Smallest passing score.")
    passed = serializers.BooleanField()
    fix = serializers.CharField(help_text="What to do when the check fails.")


class ValidationSerializer(serializers.Serializer[Any]):
    """All input checks of one field."""

    accepted = serializers.BooleanField()
    score = serializers.FloatField(help_text="Colour-histogram correlation, −1 to 1.")
    threshold = serializers.FloatField()
    checks = CheckSerializer(many=True)


class ModelReferenceSerializer(serializers.Serializer[Any]):
    """The model version that answered."""

    name = serializers.CharField(source="model_name")
    version = serializers.IntegerField(source="model_version")
    digest = serializers.CharField(source="model_digest", help_text="sha256 of its contract.json.")
    architecture = serializers.CharField(source="model_architecture")


class LinksSerializer(serializers.Serializer[Any]):
    """Addresses on this server."""

    self = serializers.CharField()
    image = serializers.CharField()
    portal = serializers.CharField()


class ProbabilitiesSerializer(serializers.Serializer[Any]):
    """Calibrated probability of each class; they sum to 1."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """One number per label."""
        return {label: serializers.FloatField(min_value=0, max_value=1) for label in LABELS}


class DiagnosisSerializer(serializers.ModelSerializer[Diagnosis]):
    """One field and what the software said about it.

    The result members are null until the field is ``screened``; a ``refused`` one has
    ``validation``, ``model`` and the outcome ``rejected``.
    """

    probabilities = serializers.SerializerMethodField()
    validation = ValidationSerializer(allow_null=True)
    model = serializers.SerializerMethodField()
    specimen = serializers.CharField(
        source="specimen.accession_number", allow_null=True, help_text="Accession number."
    )
    is_demonstration = serializers.SerializerMethodField(
        help_text="Drawn by the software, of no person."
    )
    colour_conversion = serializers.CharField(
        allow_blank=True,
        help_text="What was done about the file's colour profile: empty where its pixels were sRGB "
        "or said nothing, `converted: ` and the profile's name, or `ignored: ` and why.",
    )
    failure = serializers.CharField(
        allow_blank=True, help_text="Why a `failed` field has no result; otherwise empty."
    )
    withdrawn = WithdrawalSerializer(
        allow_null=True, help_text="That it was taken out and counts nowhere; otherwise null."
    )
    links = serializers.SerializerMethodField()

    class Meta:
        model = Diagnosis
        fields = [
            "id",
            "status",
            "outcome",
            "predicted_class",
            "confidence",
            "probabilities",
            "validation",
            "model",
            "specimen",
            "is_demonstration",
            "file_name",
            "colour_conversion",
            "failure",
            "withdrawn",
            "created_at",
            "links",
        ]
        read_only_fields = fields

    @extend_schema_field(ProbabilitiesSerializer(allow_null=True))
    def get_probabilities(self, diagnosis: Diagnosis) -> dict[str, float] | None:
        """In the labels' order, which MySQL does not keep."""
        values = diagnosis.probabilities
        return values and {label: values[label] for label in LABELS if label in values}

    def get_is_demonstration(self, diagnosis: Diagnosis) -> bool:
        """As its patient's."""
        return diagnosis.specimen is not None and diagnosis.specimen.patient.is_demonstration

    @extend_schema_field(ModelReferenceSerializer(allow_null=True))
    def get_model(self, diagnosis: Diagnosis) -> dict[str, Any] | None:
        """The version that answered."""
        return ModelReferenceSerializer(diagnosis).data if diagnosis.model_version else None

    @extend_schema_field(LinksSerializer)
    def get_links(self, diagnosis: Diagnosis) -> dict[str, str]:
        """Where this field is found."""
        return {
            "self": diagnosis_address(diagnosis),
            "image": reverse("api_diagnosis_image", args=[diagnosis.pk]),
            "portal": diagnosis.get_absolute_url(),
        }


def diagnosis_address(diagnosis: Diagnosis) -> str:
    """Where the API answers with this diagnosis."""
    return reverse("api_diagnosis_detail", args=[diagnosis.pk])


class ModelVersionSerializer(serializers.Serializer[Any]):
    """A model version that answers, as its contract describes it."""

    role = serializers.ChoiceField(
        ["stable", "canary"],
        help_text="`stable` answers; `canary` is on trial beside it, for a share of the images or "
        "unseen.",
    )
    name = serializers.CharField(source="contract.name")
    version = serializers.IntegerField(source="contract.version")
    digest = serializers.CharField(
        source="contract.digest", help_text="sha256 of its contract.json."
    )
    architecture = serializers.CharField(source="contract.architecture")
    labels = serializers.ListField(source="contract.labels", child=serializers.CharField())
    thresholds = serializers.SerializerMethodField()
    metrics = serializers.JSONField(
        source="contract.metrics",
        help_text="Figures with their split, number of images and groups, and interval.",
    )

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_thresholds(self, live: Any) -> dict[str, float]:
        """Bounds of the decision, and of each input check by its name."""
        contract = live["contract"]
        return {
            "suspicious_min": contract.suspicious_min,
            "not_suspicious_max": contract.not_suspicious_max,
            "ood_max": contract.ood_max,
            **contract.thresholds,
        }


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong and how to mend it.")
    code = serializers.CharField(help_text="Stable, for programs.")
    request_id = serializers.CharField()


class ImageProblemSerializer(ProblemSerializer):
    """A refused image: unreadable (``fix``) or not a usable field (the record's members)."""

    fix = serializers.CharField(required=False)
    id = serializers.IntegerField(required=False)
    specimen = serializers.CharField(required=False, allow_null=True)
    outcome = serializers.CharField(required=False)
    validation = ValidationSerializer(required=False)
    model = ModelReferenceSerializer(required=False)
    links = LinksSerializer(required=False)
