"""REST: send a field, read diagnoses. HTTP only; the work is in ``services``."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.serializers import (
    AssignRequest,
    DiagnoseForm,
    DiagnoseRequest,
    DiagnosisFilter,
    DiagnosisSerializer,
    ImageProblemSerializer,
    ModelVersionSerializer,
    ProblemSerializer,
    WithdrawRequest,
    diagnosis_address,
)
from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.core.errors import ContractError, DecodersBusyError
from diagnosis.core.state import Status
from diagnosis.fields.intake import BUSY, NOT_KEPT, Refusal, diagnosis_assign, field_submit
from diagnosis.fields.live_model import canary_predictor, stable_predictor
from diagnosis.models import Diagnosis
from diagnosis.storage.images import image_read
from diagnosis.storage.media import MediaDamagedError
from patients.services import listing_record
from webapp.api.errors import MEDIA_TYPE, Problem, domain_problem
from webapp.api.form_fields import is_id
from webapp.api.parsers import JSONParser
from webapp.api.permissions import ModelPermissions
from webapp.audit.services import audit_record
from webapp.domain_error import DomainError
from webapp.telemetry.metrics import UPLOAD_REFUSALS
from webapp.unavailable import STORAGE_FULL

# What cannot be stored at all. 422 is for pictures that were read and are not usable.
_REFUSAL_STATUS = {
    "empty_image": 400,
    "not_an_image": 415,
    "too_many_pixels": 413,
}
# Seconds after which to send again what says nothing of the image.
_WAIT = {BUSY: DecodersBusyError.retry_after_s, NOT_KEPT: STORAGE_FULL.retry_after_s}

_PROBLEM = {
    (status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description)
    for status, description in (
        (400, "The request is malformed; `code` says how."),
        (401, "Neither token nor session."),
        (403, "The account lacks the permission, or the CSRF token is missing."),
        (404, "There is no such diagnosis."),
        (409, "It contradicts what is on record already; `code` says how."),
        (413, "The image is too large, in bytes or in pixels."),
        (415, "The body or the file is of a type that is not taken."),
        (503, "It cannot be done now. If the answer has an `id`, the field is kept under it."),
    )
}


def _problems(*statuses: int) -> dict[tuple[int, str], OpenApiResponse]:
    return {key: answer for key, answer in _PROBLEM.items() if key[0] in (401, 403, *statuses)}


class _RecordView(generics.GenericAPIView[Diagnosis]):
    """A view of diagnoses: Django's permissions on them."""

    queryset = Diagnosis.objects.select_related("specimen__patient", "withdrawal__author")
    serializer_class = DiagnosisSerializer


class DiagnoseView(_RecordView):
    """``POST /api/diagnose``."""

    parser_classes = [JSONParser, MultiPartParser]

    @extend_schema(
        operation_id="diagnose",
        summary="Send one field and have it screened",
        request={"application/json": DiagnoseRequest, "multipart/form-data": DiagnoseForm},
        responses={
            201: DiagnosisSerializer,
            200: OpenApiResponse(
                DiagnosisSerializer, "The specimen already held this very upload: its diagnosis."
            ),
            202: OpenApiResponse(
                DiagnosisSerializer, "Kept, and waiting for the model: ask `Location` later."
            ),
            (422, MEDIA_TYPE): OpenApiResponse(
                ImageProblemSerializer,
                "Not a usable blood-smear field (`image_refused`, kept under `id`); or nothing "
                "is kept: `unknown_specimen`, `several_frames`, `damaged_image` and the like.",
            ),
            **_problems(400, 413, 415, 503),
        },
    )
    def post(self, request: Request) -> Response:
        """Screen the image, or say why not. Every member of the answer is the server's own."""
        found = _sent(request)
        submission = field_submit(
            actor=_actor(request),
            upload=found["image"],
            file_name=found.get("file_name", ""),
            specimen=found["specimen"],
            wait=True,
        )
        if submission.refusal:
            raise _not_kept(submission.refusal)
        diagnosis, created = cast(Diagnosis, submission.diagnosis), submission.is_new
        if not created:
            audit_record(actor=request.user, action="diagnosis.viewed", target=diagnosis)
        document = DiagnosisSerializer(diagnosis).data
        if diagnosis.status == Status.REFUSED:
            raise _refused(document)
        if diagnosis.status == Status.FAILED:
            raise _failed(document)
        waiting = diagnosis.status == Status.RECEIVED
        return Response(
            document,
            status=202 if waiting else 201 if created else 200,
            headers={"Location": diagnosis_address(diagnosis)},
        )


class DiagnosisPagination(CursorPagination):
    """Pages by key: their cost does not grow with the table."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 200

    def decode_cursor(self, request: Request) -> Any:
        """The place in the list; DRF's takes any text for an ``id``."""
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not is_id(cursor.position):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class DiagnosisListView(_RecordView):
    """``GET /api/diagnoses``."""

    pagination_class = DiagnosisPagination

    @extend_schema(
        operation_id="diagnoses_list",
        summary="Diagnoses, newest first",
        parameters=[DiagnosisFilter],
        responses={200: DiagnosisSerializer(many=True), **_problems(400, 404)},
    )
    def get(self, request: Request) -> Response:
        """One page, audited."""
        wanted = DiagnosisFilter(data=request.query_params)
        wanted.is_valid(raise_exception=True)
        page = self.paginate_queryset(_filtered(self.get_queryset(), wanted.validated_data))
        listing_record(actor=request.user, rows=page or [])
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class DiagnosisView(_RecordView):
    """``/api/diagnoses/{id}``."""

    @extend_schema(
        operation_id="diagnoses_retrieve",
        summary="One diagnosis",
        responses={200: DiagnosisSerializer, **_problems(404)},
    )
    def get(self, request: Request, pk: int) -> Response:
        """One diagnosis, audited."""
        diagnosis = self.get_object()
        audit_record(actor=request.user, action="diagnosis.viewed", target=diagnosis)
        return Response(self.get_serializer(diagnosis).data)

    @extend_schema(
        operation_id="diagnoses_assign",
        summary="Assign an unassigned field to a specimen",
        request=AssignRequest,
        responses={
            200: DiagnosisSerializer,
            (422, MEDIA_TYPE): OpenApiResponse(
                ProblemSerializer, "Unknown accession number, or one of the demonstration."
            ),
            **_problems(400, 404, 409, 415),
        },
    )
    def patch(self, request: Request, pk: int) -> Response:
        """Give the field its specimen; nothing else of a diagnosis ever changes."""
        diagnosis = self.get_object()
        sent = AssignRequest(data=request.data)
        sent.is_valid(raise_exception=True)
        diagnosis_assign(
            actor=_actor(request), diagnosis=diagnosis, specimen=sent.validated_data["specimen"]
        )
        return Response(self.get_serializer(diagnosis).data)


class MayWithdraw(ModelPermissions):
    """Who may see diagnoses and withdraw them; which of them, the service decides."""

    perms_map = {
        **ModelPermissions.perms_map,
        "POST": ["%(app_label)s.view_%(model_name)s", "%(app_label)s.add_withdrawal"],
    }


class WithdrawView(_RecordView):
    """``POST /api/diagnoses/{id}/withdraw``."""

    permission_classes = [MayWithdraw]

    @extend_schema(
        operation_id="diagnoses_withdraw",
        summary="Withdraw a field that does not belong where it is",
        request=WithdrawRequest,
        responses={200: DiagnosisSerializer, **_problems(400, 404, 409, 415)},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Take the field out; it stays in the record and counts nowhere. This stands."""
        sent = WithdrawRequest(data=request.data)
        sent.is_valid(raise_exception=True)
        diagnosis = self.get_object()
        field_withdraw(actor=_actor(request), diagnosis=diagnosis, **sent.validated_data)
        return Response(self.get_serializer(self.get_object()).data)


class _AnyAccept(DefaultContentNegotiation):
    """An image is sent as it is stored, whatever ``Accept`` says."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """The first one, which renders problems."""
        return renderers[0], renderers[0].media_type


class ImageView(_RecordView):
    """``GET /api/diagnoses/{id}/image``."""

    content_negotiation_class = _AnyAccept

    @extend_schema(
        operation_id="diagnoses_image",
        summary="The stored image of one diagnosis",
        responses={
            (200, "image/jpeg"): OpenApiTypes.BINARY,
            (200, "image/png"): OpenApiTypes.BINARY,
            **_problems(404, 409, 503),
        },
    )
    def get(self, request: Request, pk: int) -> HttpResponse:
        """The bytes the model saw, audited."""
        diagnosis = self.get_object()
        try:
            data = image_read(diagnosis)
        except MediaDamagedError as error:
            if error.found:
                raise Problem(
                    409,
                    "image_file_damaged",
                    "The stored image is not the one that was stored, so it is not sent; give the "
                    "request id to your operator.",
                ) from error
            raise Problem(
                503,
                "image_file_unreadable",
                "The stored image cannot be read; give the request id to your operator.",
            ) from error
        audit_record(actor=request.user, action="diagnosis.image_viewed", target=diagnosis)
        response = HttpResponse(data, content_type=diagnosis.media_type)
        suffix = diagnosis.image_name.rpartition(".")[2]
        response["Content-Disposition"] = f'inline; filename="field-{diagnosis.pk}.{suffix}"'
        return response


class ModelsView(_RecordView):
    """``GET /api/models``."""

    pagination_class = None

    @extend_schema(
        operation_id="models_list",
        summary="The model versions that answer now",
        responses={200: ModelVersionSerializer(many=True), **_problems(503)},
    )
    def get(self, request: Request) -> Response:
        """The stable version, and the canary if there is one."""
        try:
            stable, canary = stable_predictor(), canary_predictor()
        except ContractError as error:
            raise Problem(
                503,
                "model_unavailable",
                "No model version is live; images are kept until one is.",
            ) from error
        live = [{"role": "stable", "contract": stable.contract}]
        if canary:
            live.append({"role": "canary", "contract": canary.contract})
        return Response(ModelVersionSerializer(live, many=True).data)


def _actor(request: Request) -> User:
    """Who asks; the permission class has refused anonymous users."""
    return cast(User, request.user)


def _sent(request: Request) -> dict[str, Any]:
    """What the request holds; a refusal is counted as one of an upload."""
    is_form = request.content_type.startswith("multipart/")
    try:
        sent = (DiagnoseForm if is_form else DiagnoseRequest)(data=request.data)
        sent.is_valid(raise_exception=True)
    except Problem as error:
        UPLOAD_REFUSALS.labels(error.code).inc()
        raise
    return cast(dict[str, Any], sent.validated_data)


def _not_kept(refusal: Refusal) -> Problem:
    """An upload of which nothing was kept."""
    if isinstance(refusal, DomainError):
        return domain_problem(refusal)
    if wait := _WAIT.get(refusal.code):
        return Problem(503, refusal.code, f"{refusal.message} {refusal.fix}", wait=wait)
    status = _REFUSAL_STATUS.get(refusal.code, 422)
    return Problem(status, refusal.code, f"{refusal.message} {refusal.fix}", fix=refusal.fix)


def _refused(document: dict[str, Any]) -> Problem:
    """A kept field that is not a usable blood smear."""
    failed = [check["fix"] for check in document["validation"]["checks"] if not check["passed"]]
    members = ("id", "specimen", "outcome", "validation", "model", "links")
    return Problem(
        422,
        "image_refused",
        " ".join(["This is not a usable photograph of a blood-smear field.", *failed]),
        **{name: document[name] for name in members},
    )


def _failed(document: dict[str, Any]) -> Problem:
    """A kept field that could not be screened."""
    return Problem(
        503,
        "model_unavailable" if document["failure"] == "model_unavailable" else "screening_failed",
        "The image is kept but could not be screened; an administrator can have it tried again. "
        "Sending it again changes nothing.",
        **{name: document[name] for name in ("id", "specimen", "failure", "links")},
    )


def _filtered(diagnoses: QuerySet[Diagnosis], wanted: dict[str, Any]) -> QuerySet[Diagnosis]:
    """The diagnoses that have every wanted value."""
    names = {"specimen": "specimen__accession_number", "status": "status", "outcome": "outcome"}
    return diagnoses.filter(**{names[name]: value for name, value in wanted.items()})
