"""The portal's pages for patients and specimens.

The two pages that show diagnoses too, ``patient_detail`` and ``specimen_detail``, belong to
``diagnosis.portal``.
"""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from patients import selectors, services
from patients.covering import ChangeRefusedError
from patients.forms import PatientForm, SeenForm, SpecimenChangeForm, SpecimenForm
from patients.models import Patient, Specimen
from webapp.audit.services import audit_record
from webapp.keyset import id_in
from webapp.text.typed import isolated

PAGE_SIZE = 50

Row = TypeVar("Row", Patient, Specimen)


@require_safe
@permission_required("patients.view_patient", raise_exception=True)
def patient_list(request: HttpRequest) -> HttpResponse:
    """All patients, or those a search finds."""
    search = request.GET.get("search", "").strip()
    after = request.GET.get("after", "")
    context: dict[str, Any] = {"after": after, "search": search}
    try:
        selectors.validate_search(search)
    except ValidationError as error:
        return render(request, "patients/patient_list.html", context | {"refusal": error.messages})
    patients, more = selectors.patients_page(
        search=search,
        after=id_in(after),
        size=PAGE_SIZE,
    )
    services.listing_record(actor=request.user, rows=patients)
    context |= {"patients": patients, "last": patients[-1].pk if more else None}
    return render(request, "patients/patient_list.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("patients.add_patient", raise_exception=True)
def patient_create(request: HttpRequest) -> HttpResponse:
    """Register a patient."""
    form = PatientForm(_posted(request))
    patient = _saved(form, lambda: services.patient_create(actor=request.user, **form.changes()))
    if patient is None:
        return render(request, "patients/patient_form.html", {"form": form})
    messages.success(request, _("{patient} is registered.").format(patient=patient))
    return redirect(patient)


@require_http_methods(["GET", "POST"])
@permission_required("patients.change_patient", raise_exception=True)
def patient_update(request: HttpRequest, pk: int) -> HttpResponse:
    """Correct a patient's details."""
    patient = _opened(request, get_object_or_404(Patient, pk=pk))
    form = PatientForm(_posted(request), instance=copy.copy(patient))
    changed = _saved(
        form,
        lambda: services.patient_update(
            actor=request.user, patient=patient, seen=form.cleaned_data["seen"], **form.changes()
        ),
    )
    if changed is None:
        return render(request, "patients/patient_form.html", {"form": form, "patient": patient})
    messages.success(request, _("The details of {patient} are saved.").format(patient=changed))
    return redirect(changed)


@require_http_methods(["GET", "POST"])
@permission_required("patients.delete_patient", raise_exception=True)
def patient_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then delete a patient without diagnoses, and the specimens."""
    patient = _opened(request, get_object_or_404(Patient, pk=pk))
    template = "patients/patient_confirm_delete.html"
    if request.method != "POST":
        return render(request, template, {"patient": patient})
    try:
        services.patient_delete(actor=request.user, patient=patient)
    except services.DeletionRefusedError as refusal:
        context = {"patient": patient, "refusal": str(refusal)}
        return render(request, template, context, status=409)
    messages.success(request, _("{patient} is deleted.").format(patient=patient))
    return redirect("patient_list")


@require_http_methods(["GET", "POST"])
@permission_required("patients.add_specimen", raise_exception=True)
def specimen_create(request: HttpRequest, pk: int) -> HttpResponse:
    """Register a specimen of one patient."""
    patient = _opened(request, get_object_or_404(Patient, pk=pk))
    form = SpecimenForm(_posted(request), instance=Specimen(patient=patient))
    specimen = _saved(
        form,
        lambda: services.specimen_create(actor=request.user, patient=patient, **form.changes()),
    )
    if specimen is None:
        return render(request, "patients/specimen_form.html", {"form": form, "patient": patient})
    messages.success(
        request, _("Specimen {number} is registered.").format(number=isolated(specimen))
    )
    return redirect(specimen)


@require_http_methods(["GET", "POST"])
@permission_required("patients.change_specimen", raise_exception=True)
def specimen_update(request: HttpRequest, accession: str) -> HttpResponse:
    """Correct a specimen's details."""
    specimen = _opened(request, _specimen(accession))
    form = SpecimenChangeForm(_posted(request), instance=copy.copy(specimen))
    changed = _saved(
        form,
        lambda: services.specimen_update(
            actor=request.user, specimen=specimen, seen=form.cleaned_data["seen"], **form.changes()
        ),
    )
    if changed is None:
        context = {"form": form, "specimen": specimen, "patient": specimen.patient}
        return render(request, "patients/specimen_form.html", context)
    messages.success(
        request, _("The details of specimen {number} are saved.").format(number=isolated(changed))
    )
    return redirect(changed)


@require_http_methods(["GET", "POST"])
@permission_required("patients.delete_specimen", raise_exception=True)
def specimen_delete(request: HttpRequest, accession: str) -> HttpResponse:
    """Ask, then delete a specimen without diagnoses."""
    specimen = _opened(request, _specimen(accession))
    template = "patients/specimen_confirm_delete.html"
    if request.method != "POST":
        return render(request, template, {"specimen": specimen})
    try:
        services.specimen_delete(actor=request.user, specimen=specimen)
    except services.DeletionRefusedError as refusal:
        context = {"specimen": specimen, "refusal": str(refusal)}
        return render(request, template, context, status=409)
    messages.success(request, _("Specimen {number} is deleted.").format(number=isolated(specimen)))
    return redirect(specimen.patient)


def _specimen(accession: str) -> Specimen:
    specimens = Specimen.objects.select_related("patient")
    return get_object_or_404(specimens, accession_number=accession)


def _posted(request: HttpRequest) -> Any:
    return request.POST if request.method == "POST" else None


def _opened(request: HttpRequest, row: Row) -> Row:
    """``row``; opening its page is on record as a read, what is posted is on record by itself."""
    if request.method == "GET":
        audit_record(actor=request.user, action=f"{row._meta.model_name}.viewed", target=row)
    return row


def _saved(form: SeenForm, save: Callable[[], Row]) -> Row | None:
    """What ``save`` saved; ``None`` if nothing valid was posted, with the errors on the form."""
    if not form.is_valid():
        return None
    try:
        return save()
    except ValidationError as error:
        if isinstance(error, services.ChangedMeanwhileError):
            form.show_both(error.stored)
        form.add_error(None, error)
        return None
    except ChangeRefusedError as refusal:
        form.add_error("reason" if refusal.code == "reason_missing" else None, str(refusal))
        return None
