"""What the upload page's script asks before it sends: which files are here already."""

import re

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from diagnosis.fields.selectors import diagnoses_held
from patients.models import Specimen
from patients.services import listing_record

ASKED_AT_MOST = 200
MAY_UPLOAD = ("diagnosis.view_diagnosis", "diagnosis.add_diagnosis")


@require_POST
@permission_required(("patients.view_specimen", *MAY_UPLOAD), raise_exception=True)
def specimen_held(request: HttpRequest, accession: str) -> JsonResponse:
    """Of the posted ``sha256``, those of uploads that the specimen holds, with their pages."""
    return _held(request, get_object_or_404(Specimen, accession_number=accession))


@require_POST
@permission_required(MAY_UPLOAD, raise_exception=True)
def unassigned_held(request: HttpRequest) -> JsonResponse:
    """The same for fields without a specimen."""
    return _held(request, None)


def _held(request: HttpRequest, specimen: Specimen | None) -> JsonResponse:
    asked = request.POST.getlist("sha256")
    if len(asked) > ASKED_AT_MOST or not all(re.fullmatch("[0-9a-f]{64}", sum) for sum in asked):
        detail = gettext("Send at most %(number)s sums, each 64 hexadecimal digits.")
        return JsonResponse({"detail": detail % {"number": ASKED_AT_MOST}}, status=400)
    found = diagnoses_held(specimen, asked)
    listing_record(actor=request.user, rows=found)
    return JsonResponse({"held": {row.upload_sha256: row.get_absolute_url() for row in found}})
