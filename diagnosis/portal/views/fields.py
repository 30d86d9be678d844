"""The portal's pages on diagnoses: HTTP only. Who reads a record is put on record."""

import logging
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from diagnosis.cases.blinding import conceal, is_kept
from diagnosis.cases.corrections import corrections_of_patient
from diagnosis.cases.reading_order import fields_in_order, next_unread, place_of
from diagnosis.cases.selectors import case_of, reviews_of
from diagnosis.core import decoding
from diagnosis.core.errors import ImageRefusedError, ModelBusyError, PredictorError
from diagnosis.core.imaging.contract import LABELS
from diagnosis.fields import intake as services
from diagnosis.fields import selectors
from diagnosis.fields.activation import NoMapError, activation_map, why_no_map
from diagnosis.models import Diagnosis
from diagnosis.portal import wording
from diagnosis.portal.busy import busy_response
from diagnosis.portal.case_page import case_page
from diagnosis.portal.forms import AssignForm
from diagnosis.portal.permissions import ADD, ASSIGN, VIEW, WITHDRAW
from diagnosis.portal.upload_form import files_submit
from diagnosis.portal.views.guide import guide_context
from diagnosis.storage.images import image_read
from diagnosis.storage.media import MediaDamagedError, media_is_sound
from patients.models import Patient, Specimen
from patients.selectors import specimens_found, validate_search
from patients.services import listing_record
from webapp.audit.services import audit_record
from webapp.domain_error import DomainError
from webapp.keyset import id_in
from webapp.text.typed import isolated

logger = logging.getLogger(__name__)

PAGE_SIZE = 50
UPLOAD_FIELD = "fields"


@require_safe
@permission_required(VIEW, raise_exception=True)
def field_list(request: HttpRequest) -> HttpResponse:
    """All fields, newest first, or those that a filter and a search leave."""
    shown, search = request.GET.get("show", ""), request.GET.get("search", "").strip()
    specimens: list[int] | None = None
    too_many, refusal = False, ""
    try:
        validate_search(search)
    except ValidationError as error:
        specimens, refusal = [], error.messages[0]
    if search and not refusal:
        specimens, too_many = specimens_found(search, limit=selectors.SPECIMENS_SEARCHED)
    found = selectors.diagnosis_search(shown=shown, specimens=specimens)
    kinds = selectors.kinds_offered()
    context = _newest(request, found) | {
        "shown": shown if shown in kinds else "",
        "search": search,
        "refusal": refusal,
        "too_many": selectors.SPECIMENS_SEARCHED if too_many else 0,
        "filters": {name: wording.VERDICTS[name][0] for name in kinds},
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
        "counts": selectors.outcome_counts(diagnoses, request.user),
        "corrections": wording.corrections(corrections_of_patient(patient)),
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
    return render(request, "diagnosis/diagnosis_detail.html", _result(request, diagnosis))


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
        except services.AlreadyHeldError as already:
            where = gettext("It is diagnosis %(number)s.") % {"number": already.existing.pk}
            form.add_error("accession_number", f"{already} {where}")
        except services.DemonstrationError as refusal:
            form.add_error("accession_number", refusal.sentences)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            belongs = gettext("The field now belongs to specimen %(number)s.")
            messages.success(request, belongs % {"number": isolated(specimen)})
            return redirect(diagnosis)
    audit_record(actor=request.user, action="diagnosis.viewed", target=diagnosis)
    context = {"diagnosis": diagnosis, "form": form}
    return render(request, "diagnosis/diagnosis_assign.html", context)


@require_safe
@permission_required(VIEW, raise_exception=True)
def diagnosis_image(request: HttpRequest, pk: int) -> HttpResponse:
    """The stored bytes, as the model saw them."""
    diagnosis = get_object_or_404(Diagnosis, pk=pk)
    try:
        data = image_read(diagnosis)
    except MediaDamagedError as damage:
        return _placeholder(damage)
    return _image(request, diagnosis, data, diagnosis.media_type, size="full")


@require_safe
@permission_required(VIEW, raise_exception=True)
def diagnosis_thumbnail(request: HttpRequest, pk: int) -> HttpResponse:
    """A small picture of the field, for pages that show many."""
    diagnosis = get_object_or_404(Diagnosis, pk=pk)
    try:
        small = decoding.thumbnail(image_read(diagnosis))
    except MediaDamagedError as damage:
        return _placeholder(damage)
    except ImageRefusedError as refusal:
        logger.error("The stored image of diagnosis %s: %s", diagnosis.pk, refusal.code)
        return _placeholder(None)
    return _image(request, diagnosis, small, "image/jpeg", size="thumbnail")


@require_safe
@permission_required(VIEW, raise_exception=True)
def diagnosis_activation(request: HttpRequest, pk: int) -> HttpResponse:
    """Where the model looked, as a transparent picture; a sentence where that is not shown."""
    diagnosis = get_object_or_404(Diagnosis, pk=pk)
    if is_kept(diagnosis, request.user):
        return _sentence(str(wording.VERDICTS["unread"][1]), 404)
    try:
        picture = activation_map(diagnosis)
    except NoMapError as error:
        return _sentence(wording.no_map(error.reason, diagnosis), 404)
    except PredictorError as error:
        logger.warning("No activation map of diagnosis %s: %s", diagnosis.pk, error)
        if isinstance(error, ModelBusyError):
            return _sentence(gettext("The model is busy just now. Try again."), 503)
        return _sentence(gettext("The model cannot be reached just now. Try again."), 503)
    except MediaDamagedError as damage:
        return _placeholder(damage)
    except ImageRefusedError as refusal:
        logger.error("The stored image of diagnosis %s: %s", diagnosis.pk, refusal.code)
        return _placeholder(None)
    return _image(request, diagnosis, picture, "image/png", size="activation")


def _upload(request: HttpRequest, template: str, specimen: Specimen | None) -> HttpResponse:
    """Take the posted files; gives the page with what became of each.

    There is no redirect: it would lose which file was refused and why, and posting the same
    files again changes nothing. The page's script asks for the results alone.
    """
    if not request.user.has_perm(ADD):
        raise PermissionDenied
    results = files_submit(
        actor=cast(User, request.user),
        files=request.FILES.getlist(UPLOAD_FIELD),
        specimen=specimen,
        later="later" in request.POST,
    )
    submissions = [result.submission for result in results]
    conceal((sent.diagnosis for sent in submissions if sent.diagnosis), request.user)
    # Refused first: they are what a person has to act on.
    shown = sorted(results, key=lambda result: result.submission.refusal is None)
    found = {"results": shown, "nothing_chosen": not results}
    if request.headers.get("X-Requested-With") == "fetch":
        # The script sends one file at a time, and one that finds no turn again.
        busy = any(sent.refusal and sent.refusal.code == services.BUSY for sent in submissions)
        return busy_response() if busy else render(request, "diagnosis/_upload_results.html", found)
    context = _specimen(request, specimen) if specimen else _unassigned(request)
    return render(request, template, {**context, **found})


def _specimen(request: HttpRequest, specimen: Specimen) -> dict[str, Any]:
    page = _page(request, fields_in_order(specimen.pk, request.user))
    return case_page(request, specimen, page).context() | guide_context(request, specimen)


def _unassigned(request: HttpRequest) -> dict[str, Any]:
    return _newest(request, selectors.diagnoses_unassigned())


def _result(request: HttpRequest, diagnosis: Diagnosis) -> dict[str, Any]:
    """Everything the page says about one diagnosis."""
    contract = selectors.diagnosis_contract(diagnosis)
    no_map = why_no_map(diagnosis)
    conceal([diagnosis], request.user)
    reviews = [] if diagnosis.concealed else reviews_of(diagnosis)
    title, sentence = wording.VERDICTS[wording.headline(diagnosis)]
    case = case_of(diagnosis.specimen) if diagnosis.specimen else None
    is_damaged = not media_is_sound(diagnosis.image_name, diagnosis.image_sha256)
    mine = [review for review in reviews if review.reviewer_id == request.user.pk]
    own = mine[0] if any(review.blinded for review in mine) else None
    return {
        "diagnosis": diagnosis,
        "specimen": diagnosis.specimen,
        "place": place_of(diagnosis, request.user),
        "title": title,
        "sentence": sentence,
        "preliminary": wording.PRELIMINARY,
        "reviews": reviews,
        # Who has committed to a class before the answer was shown changes it or keeps it.
        "own": own,
        "next_unread": next_unread(diagnosis.specimen_id, request.user, after=diagnosis.pk)
        if own and diagnosis.specimen_id
        else None,
        "classes": list(enumerate(LABELS, start=1)),
        "failure": wording.failure_sentence(diagnosis.failure),
        "why": wording.why_class_and_outcome_differ(diagnosis, contract),
        "probabilities": wording.probability_bars(diagnosis),
        "malignant": wording.malignant_share(diagnosis),
        "contract": contract,
        "checks": wording.check_bars(diagnosis),
        "domain": wording.domain_bar(diagnosis, contract),
        "has_map": no_map is None and not diagnosis.concealed,
        "no_map": wording.no_map(no_map, diagnosis) if no_map else "",
        "is_damaged": is_damaged,
        "closed_to_reading": is_damaged or diagnosis.withdrawn,
        "may_withdraw": request.user.has_perm(WITHDRAW)
        and not diagnosis.withdrawn
        and not (case and case.closed),
    }


def _newest(request: HttpRequest, rows: QuerySet[Diagnosis]) -> dict[str, Any]:
    """A page of ``rows`` by key, newest first; ``diagnosis/_older.html`` leads on from it."""
    before = request.GET.get("before", "")
    diagnoses, more = selectors.diagnoses_page(
        rows,
        before=id_in(before),
        size=PAGE_SIZE,
    )
    conceal(diagnoses, request.user)
    older = diagnoses[-1].pk if more else None
    return {"diagnoses": diagnoses, "before": before, "older": older}


def _page(request: HttpRequest, rows: QuerySet[Diagnosis]) -> Page[Diagnosis]:
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    conceal(page, request.user)  # reads the page's rows, which it keeps
    return page


def _placeholder(damage: MediaDamagedError | None) -> HttpResponse:
    """In place of a picture that is missing (404), or is not what was stored (409)."""
    drawing = render_to_string("diagnosis/image_damaged.svg")
    missing = damage is not None and not damage.found
    return HttpResponse(drawing, status=404 if missing else 409, content_type="image/svg+xml")


def _sentence(text: str, status: int) -> HttpResponse:
    """In place of a picture; nobody sees a page inside an ``img``."""
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")


def _image(
    request: HttpRequest, diagnosis: Diagnosis, data: bytes, media_type: str, *, size: str
) -> HttpResponse:
    """Image bytes, their reading on record."""
    audit_record(
        actor=request.user, action="diagnosis.image_viewed", target=diagnosis, detail={"size": size}
    )
    return HttpResponse(data, content_type=media_type)
