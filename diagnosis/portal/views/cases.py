"""The work list, and what people say of the fields of a case."""

from typing import cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from diagnosis.cases import selectors as case_selectors
from diagnosis.cases.blinding import conceal_cases
from diagnosis.cases.reading_order import next_unread
from diagnosis.cases.saved_views import views_of
from diagnosis.cases.services import (
    CaseError,
    agree_with_all,
    case_assign,
    case_prioritise,
    reading_create,
    review_create,
)
from diagnosis.core.state import Verdict
from diagnosis.fields import selectors
from diagnosis.models import Case, Priority
from diagnosis.portal.forms import ReadingForm, ReviewForm
from diagnosis.portal.permissions import MANAGE, REVIEW, VIEW, VIEW_CASES
from diagnosis.portal.views.guide import guide_context
from diagnosis.portal.worklist_forms import SavedViewForm, WorklistForm
from patients.models import Specimen
from patients.services import listing_record

PAGE_SIZE = 50


@require_safe
@permission_required((VIEW, VIEW_CASES), raise_exception=True)
def worklist(request: HttpRequest) -> HttpResponse:
    """Open cases, or those that filters and a search leave."""
    user = cast(User, request.user)
    form = WorklistForm.asked(request.GET)
    cases = case_selectors.case_search(wanted=form.wanted(), user=user)
    page = case_selectors.cases_page(cases, after=request.GET.get("after", ""), size=PAGE_SIZE)
    listing_record(actor=user, rows=page.cases)
    conceal_cases(page.cases, user)
    query, saved = form.query(), views_of(user)
    offered = case_selectors.views_offered().values()
    views = {urlencode(view.query): view.title for view in offered}
    # A view of before a filter was bounded is known by its address, so that it can be deleted.
    asked = {query, request.GET.urlencode()}
    current = next((view for view in saved if view.query in asked), None)
    context = {
        "page": page,
        "form": form,
        "query": query,
        "views": views,
        "saved": saved,
        "saved_current": current,
        "is_view": query in {"", *views} or current is not None,
        "save_form": SavedViewForm(initial={"query": query}, label_suffix=""),
        "blinded": settings.BLINDED_FIRST_READ,
        **guide_context(request),
    }
    return render(request, "diagnosis/worklist.html", context)


@require_POST
@permission_required((VIEW, REVIEW), raise_exception=True)
def diagnosis_review(request: HttpRequest, pk: int) -> HttpResponse:
    """Record a review and go on to the next field of the case that has none.

    After a blinded reading the same field comes again, now with the software's answer.
    """
    diagnosis = get_object_or_404(selectors.diagnosis_list(), pk=pk)
    stated = "reading" in request.POST
    form = ReadingForm(request.POST) if stated else ReviewForm(request.POST)
    if not form.is_valid():
        usual = [_("Nothing was recorded: choose agree, another class, or unusable.")]
        if too_long := form.errors.get("reason"):
            usual = [_("Nothing was recorded."), *too_long]
        messages.error(request, " ".join(usual))
        return redirect(diagnosis)
    actor, sent = cast(User, request.user), form.cleaned_data
    try:
        if stated:
            label, reason = sent["reading"], sent["reason"]
            review = reading_create(actor=actor, diagnosis=diagnosis, label=label, reason=reason)
        else:
            sent["verdict"] = Verdict(sent["verdict"])
            review = review_create(actor=actor, diagnosis=diagnosis, **sent)
    except CaseError as error:
        messages.error(request, _("Nothing was recorded. %(reason)s") % {"reason": error})
        return redirect(diagnosis)
    if review.blinded:
        return redirect(diagnosis)
    specimen = cast(Specimen, diagnosis.specimen)  # a field without one takes no review
    following = next_unread(specimen.pk, request.user, after=diagnosis.pk)
    if following is None:
        messages.success(request, _("Every screened field of this case is reviewed."))
        return redirect(specimen)
    return redirect("diagnosis_detail", following)


@require_POST
@permission_required((VIEW, REVIEW), raise_exception=True)
def case_agree_with_all(request: HttpRequest, accession: str) -> HttpResponse:
    """Agree with every field of a case that nobody has reviewed yet."""
    case = _case(accession)
    try:
        agreed = agree_with_all(actor=cast(User, request.user), case=case)
    except CaseError as error:
        messages.error(request, str(error))
        return redirect(case.specimen)
    said = ngettext(
        "Agreed with %(count)d field. Each can still be changed.",
        "Agreed with %(count)d fields. Each can still be changed.",
        agreed,
    )
    messages.success(request, said % {"count": agreed})
    return redirect(case.specimen)


@require_POST
@permission_required((VIEW, MANAGE), raise_exception=True)
def case_take(request: HttpRequest, accession: str) -> HttpResponse:
    """Assign a case to the one who asks; with ``back`` in the form, to nobody."""
    case = _case(accession)
    user = cast(User, request.user)
    assignee = None if "back" in request.POST else user
    try:
        case_assign(actor=user, case=case, assignee=assignee, seen=request.POST.get("seen"))
    except CaseError as error:
        messages.error(request, str(error))
    return redirect(case.specimen)


@require_POST
@permission_required((VIEW, MANAGE), raise_exception=True)
def case_priority(request: HttpRequest, accession: str) -> HttpResponse:
    """Say how soon somebody is to look at a case."""
    case = _case(accession)
    sent = request.POST.get("priority", "")
    if sent not in map(str, Priority.values):
        messages.error(request, _("The priority stays as it is: choose one of the list."))
    elif int(sent) != case.priority:
        _prioritise(request, case, Priority(int(sent)))
    return redirect(case.specimen)


def _prioritise(request: HttpRequest, case: Case, priority: Priority) -> None:
    actor, seen = cast(User, request.user), request.POST.get("seen")
    try:
        case_prioritise(actor=actor, case=case, priority=priority, seen=seen)
    except CaseError as error:
        messages.error(request, str(error))


def _case(accession: str) -> Case:
    cases = Case.objects.select_related("specimen", "assignee")
    return get_object_or_404(cases, specimen__accession_number=accession)
