"""The portal's pages on diagnoses: HTTP only. Who reads a record is put on record."""

import logging
from dataclasses import asdict
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from diagnosis import selectors, services
from diagnosis.aggregate import FieldCounts
from diagnosis.case_selectors import case_of, reviews_of
from diagnosis.imaging.contract import LABELS
from diagnosis.imaging.thumbnail import thumbnail
from diagnosis.media import media_read
from diagnosis.models import FIELD_KINDS, Diagnosis, Priority
from diagnosis.portal import wording
from diagnosis.portal.forms import AssignForm
from diagnosis.portal.uploads import fields_upload
from patients.models import Patient, Specimen
from patients.selectors import specimens_found
from patients.services import listing_record
from webapp.audit.services import audit_record

logger = logging.getLogger(__name__)

PAGE_SIZE = 50
UPLOAD_FIELD = "fields"

VIEW = "diagnosis.view_diagnosis"
ADD = "diagnosis.add_diagnosis"
ASSIGN = "diagnosis.change_diagnosis"


@require_safe
@permission_required(VIEW, raise_exception=True)
def field_list(request: HttpRequest) -> HttpResponse:
    """All fields, newest first, or those that a filter and a search leave."""
    shown, search = request.GET.get("show", ""), request.GET.get("search", "").strip()
    specimens, too_many = None, False
    if search:
        specimens, too_many = specimens_found(search, limit=selectors.SPECIMENS_SEARCHED)
    found = selectors.diagnosis_search(shown=shown, specimens=specimens)
    context = _newest(request, found) | {
        "shown": shown if shown in FIELD_KINDS else "",
        "search": search,
        "too_many": selectors.SPECIMENS_SEARCHED if too_many else 0,
        "filters": {name: wording.VERDICTS[name][0] for name in FIELD_KINDS},
    }
    listing_record(actor=request.user, rows=context["diagnoses"])
    return render(request, "diagnosis/field_list.html", context)


@require_safe
@permission_required(("patients.view_patient", VIEW), raise_exception=True)
def patient_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One patient: details, specimens, diagnoses."""
    patient = get_object_or_404(Patient, pk=pk)
    audit_record(actor=request.user, action="patient.viewed", target=patient)
    diagnoses = selectors.diagnoses_of_patient(patient)
    context = {
        "patient": patient,
        "specimens": selectors.specimens_of_patient(patient),
        "page_obj": _page(request, diagnoses),
        "counts": selectors.outcome_counts(diagnoses),
    }
    return render(request, "diagnosis/patient_detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(("patients.view_specimen", VIEW), raise_exception=True)
def specimen_detail(request: HttpRequest, accession: str) -> HttpResponse:
    """One specimen: its fields as a gallery, and the form that takes more of them."""
    specimen = get_object_or_404(
        Specimen.objects.select_related("patient"), accession_number=accession
    )
    if request.method == "POST":
        return _upload(request, "diagnosis/specimen_detail.html", specimen)
    audit_record(actor=request.user, action="specimen.viewed", target=specimen)
    return render(request, "diagnosis/specimen_detail.html", _specimen(request, specimen))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(VIEW, raise_exception=True)
def unassigned(request: HttpRequest) -> HttpResponse:
    """Fields without a specimen: to assign them, and to take more."""
    if request.method == "POST":
        return _upload(request, "diagnosis/unassigned.html", None)
    context = _unassigned(request)
    listing_record(actor=request.user, rows=context["diagnoses"])
    return render(request, "diagnosis/unassigned.html", context)


@require_safe
@permission_required(VIEW, raise_exception=True)
def diagnosis_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One field: the photograph, the verdict and how it came about."""
    diagnosis = get_object_or_404(selectors.diagnosis_list().select_related("created_by"), pk=pk)
    audit_record(actor=request.user, action="diagnosis.viewed", target=diagnosis)
    return render(request, "diagnosis/diagnosis_detail.html", _result(diagnosis))


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required((VIEW, ASSIGN), raise_exception=True)
def diagnosis_assign(request: HttpRequest, pk: int) -> HttpResponse:
    """Say which specimen an unassigned field belongs to."""
    diagnosis = get_object_or_404(selectors.diagnosis_list(), pk=pk)
    form = AssignForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        specimen = form.cleaned_data["accession_number"]
        try:
            services.diagnosis_assign(
                actor=cast(User, request.user), diagnosis=diagnosis, specimen=specimen
            )
        except services.AlreadyThere as already:
            form.add_error("accession_number", f"{already} It is diagnosis {already.existing.pk}.")
        except ValueError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"The field now belongs to specimen {specimen}.")
            return redirect(diagnosis)
    audit_record(actor=request.user, action="diagnosis.viewed", target=diagnosis)
    context = {"diagnosis": diagnosis, "form": form}
    return render(request, "diagnosis/diagnosis_assign.html", context)


@require_safe
@permission_required(VIEW, raise_exception=True)
def diagnosis_image(request: HttpRequest, pk: int) -> HttpResponse:
    """The stored bytes, as the model saw them."""
    diagnosis = get_object_or_404(Diagnosis, pk=pk)
    return _image(request, diagnosis, _stored(diagnosis), diagnosis.media_type, size="full")


@require_safe
@permission_required(VIEW, raise_exception=True)
def diagnosis_thumbnail(request: HttpRequest, pk: int) -> HttpResponse:
    """A small picture of the field, for pages that show many."""
    diagnosis = get_object_or_404(Diagnosis, pk=pk)
    small = thumbnail(_stored(diagnosis))
    return _image(request, diagnosis, small, "image/jpeg", size="thumbnail")


def _upload(request: HttpRequest, template: str, specimen: Specimen | None) -> HttpResponse:
    """Take the posted files; gives the page with what became of each.

    There is no redirect: it would lose which file was refused and why, and posting the same
    files again changes nothing. The page's script asks for the results alone.
    """
    if not request.user.has_perm(ADD):
        raise PermissionDenied
    results = fields_upload(
        actor=cast(User, request.user),
        files=request.FILES.getlist(UPLOAD_FIELD),
        specimen=specimen,
        later="later" in request.POST,
    )
    found = {"results": results, "nothing_chosen": not results}
    if request.headers.get("X-Requested-With") == "fetch":
        return render(request, "diagnosis/_upload_results.html", found)
    context = _specimen(request, specimen) if specimen else _unassigned(request)
    return render(request, template, {**context, **found})


def _specimen(request: HttpRequest, specimen: Specimen) -> dict[str, Any]:
    fields = selectors.diagnoses_of_specimen(specimen)
    case = case_of(specimen)
    counts = case.counts if case else FieldCounts()
    return {
        "case": case,
        "preliminary": wording.PRELIMINARY,
        "priorities": Priority.choices,
        "usable": counts.usable,
        "case_rule": wording.case_rule(case, settings.MIN_USABLE_FIELDS) if case else "",
        "specimen": specimen,
        "patient": specimen.patient,
        "page_obj": _page(request, fields.order_by("id")),
        "counts": {name: number for name, number in asdict(counts).items() if number},
        "total": counts.total,
        "done": counts.total - counts.waiting,
    }


def _unassigned(request: HttpRequest) -> dict[str, Any]:
    return _newest(request, selectors.diagnoses_unassigned())


def _result(diagnosis: Diagnosis) -> dict[str, Any]:
    """Everything the page says about one diagnosis."""
    contract = selectors.diagnosis_contract(diagnosis)
    reviews = reviews_of(diagnosis)
    title, sentence = wording.VERDICTS[wording.headline(diagnosis)]
    return {
        "diagnosis": diagnosis,
        "specimen": diagnosis.specimen,
        "place": selectors.diagnosis_place(diagnosis),
        "title": title,
        "sentence": sentence,
        "preliminary": wording.PRELIMINARY,
        "reviews": reviews,
        "classes": list(enumerate(LABELS, start=1)),
        "failure": wording.failure_sentence(diagnosis.failure),
        "why": wording.why_class_and_outcome_differ(diagnosis, contract),
        "probabilities": wording.probability_bars(diagnosis),
        "malignant": wording.malignant_share(diagnosis),
        "contract": contract,
        "checks": wording.check_bars(diagnosis),
        "domain": wording.domain_bar(diagnosis, contract),
    }


def _newest(request: HttpRequest, rows: QuerySet[Diagnosis]) -> dict[str, Any]:
    """A page of ``rows`` by key, newest first; ``diagnosis/_older.html`` leads on from it."""
    before = request.GET.get("before", "")
    diagnoses, more = selectors.diagnoses_page(
        rows,
        before=int(before) if before.isdecimal() and len(before) < 19 else None,
        size=PAGE_SIZE,
    )
    return {"diagnoses": diagnoses, "more": more, "before": before}


def _page(request: HttpRequest, rows: QuerySet[Diagnosis]) -> Page[Diagnosis]:
    return Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))


def _stored(diagnosis: Diagnosis) -> bytes:
    try:
        return media_read(diagnosis.image_name)
    except OSError as error:
        logger.error("The image file of diagnosis %s is unreadable: %s", diagnosis.pk, error)
        raise Http404 from error


def _image(
    request: HttpRequest, diagnosis: Diagnosis, data: bytes, media_type: str, *, size: str
) -> HttpResponse:
    """Image bytes, their reading on record."""
    audit_record(
        actor=request.user, action="diagnosis.image_viewed", target=diagnosis, detail={"size": size}
    )
    return HttpResponse(data, content_type=media_type)
