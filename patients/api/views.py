"""REST: patients and specimens."""

from typing import Any

from django.core.exceptions import ValidationError
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import serializers, viewsets
from rest_framework.fields import get_error_detail
from rest_framework.request import Request
from rest_framework.response import Response

from patients import selectors, services
from patients.api.serializers import (
    PatientQuery,
    PatientSerializer,
    SpecimenQuery,
    SpecimenSerializer,
)
from patients.models import Patient, Specimen
from webapp.api.errors import Problem
from webapp.audit.services import audit_record

_REFUSED = {
    409: OpenApiResponse(
        description="A signed case states it: `signed` if this account may not amend cases, "
        "`reason_missing` if there is no `reason`."
    )
}
_DELETED = {204: None, 409: OpenApiResponse(description="It has diagnoses, which are kept.")}
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of what you have seen: 412, and nothing done, if it has changed.",
)
_CHANGED = "Somebody has changed this since you read it: read it again, then decide."


class _ServiceViewSet(viewsets.ModelViewSet[Any]):
    """CRUD whose reads are audited and whose refusals are problem documents."""

    def handle_exception(self, exc: Exception) -> Response:
        """Translate what the services raise."""
        if isinstance(exc, services.ChangedMeanwhileError):
            exc = Problem(412, "changed_meanwhile", _CHANGED)
        elif isinstance(exc, ValidationError):
            exc = serializers.ValidationError(get_error_detail(exc))
        return super().handle_exception(exc)

    def paginate_queryset(self, queryset: Any) -> list[Any] | None:
        """One page, audited."""
        page = super().paginate_queryset(queryset)
        services.listing_record(actor=self.request.user, rows=page or [])
        return page

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One row, audited."""
        row = self.get_object()
        audit_record(actor=request.user, action=f"{row._meta.model_name}.viewed", target=row)
        return Response(self.get_serializer(row).data, headers=_etag(row))

    def perform_create(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save as the signed-in user."""
        serializer.save(actor=self.request.user)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change what was sent, of a row that is still as ``If-Match`` says."""
        answer = super().update(request, *args, **kwargs)
        return Response(answer.data, headers=_etag(self.saved))

    def perform_update(self, serializer: serializers.BaseSerializer[Any]) -> None:
        """Save as the signed-in user."""
        self.saved = serializer.save(actor=self.request.user, seen=self.seen)

    @property
    def seen(self) -> str:
        """The version that the client has seen; empty if it does not say."""
        return self.request.headers.get("If-Match", "").strip(' "').removeprefix("*")


def _etag(row: Patient | Specimen) -> dict[str, str]:
    return {"ETag": f'"{services.row_version(row)}"'}


def _schema(serializer: Any, *parameters: Any) -> Any:
    """The list has its filters; what writes takes the version that was seen."""
    changed = extend_schema(parameters=[_IF_MATCH], responses={200: serializer, **_REFUSED})
    return extend_schema_view(
        list=extend_schema(parameters=[*parameters]),
        update=changed,
        partial_update=changed,
        destroy=extend_schema(parameters=[_IF_MATCH], responses=_DELETED),
    )


@_schema(PatientSerializer, PatientQuery)
class PatientViewSet(_ServiceViewSet):
    """Patients."""

    queryset = Patient.objects.all()
    serializer_class = PatientSerializer
    lookup_value_regex = "[0-9]+"

    def filter_queryset(self, queryset: Any) -> Any:
        """What ``?search=`` finds."""
        if self.action != "list":
            return queryset
        query = PatientQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        return selectors.patient_list(**query.validated_data)

    def perform_destroy(self, instance: Patient) -> None:
        """Delete the patient and the specimens."""
        services.patient_delete(actor=self.request.user, patient=instance, seen=self.seen)


@_schema(SpecimenSerializer, SpecimenQuery)
class SpecimenViewSet(_ServiceViewSet):
    """Specimens, by accession number."""

    queryset = Specimen.objects.select_related("patient")
    serializer_class = SpecimenSerializer
    lookup_field = "accession_number"
    lookup_url_kwarg = "accession"
    lookup_value_regex = "[^/]+"

    def filter_queryset(self, queryset: Any) -> Any:
        """What ``?search=`` and ``?patient=`` leave."""
        if self.action != "list":
            return queryset
        query = SpecimenQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        return selectors.specimen_list(**query.validated_data)

    def perform_destroy(self, instance: Specimen) -> None:
        """Delete the specimen."""
        services.specimen_delete(actor=self.request.user, specimen=instance, seen=self.seen)
