"""The work list, and what people say of the fields of a case."""

from typing import cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis import case_selectors, selectors
from diagnosis.cases import (
    CaseError,
    agree_with_all,
    case_assign,
    case_prioritise,
    review_create,
)
from diagnosis.models import Case, Priority
from diagnosis.portal.forms import ReviewForm
from diagnosis.portal.views import VIEW
from diagnosis.portal.worklist_forms import SavedViewForm, WorklistForm
from diagnosis.saved_views import views_of
from diagnosis.state import Verdict
from patients.services import listing_record

PAGE_SIZE = 50
REVIEW = "diagnosis.add_review"
MANAGE = "diagnosis.change_case"


@require_safe
@permission_required(VIEW, raise_exception=True)
def worklist(request: HttpRequest) -> HttpResponse:
    """Open cases, or those that filters and a search leave."""
    user = cast(User, request.user)
    form = WorklistForm.asked(request.GET)
    cases = case_selectors.case_search(wanted=form.wanted(), user=user)
    page = case_selectors.cases_page(cases, after=request.GET.get("after", ""), size=PAGE_SIZE)
    listing_record(actor=user, rows=page.cases)
    query, saved = form.query(), views_of(user)
    views = {urlencode(view.query): view.title for view in case_selectors.VIEWS.values()}
    current = next((view for view in saved if view.query == query), None)
    context = {
        "page": page,
        "form": form,
        "query": query,
        "views": views,
        "saved": saved,
        "saved_current": current,
        "is_view": query in {"", *views} or current is not None,
        "save_form": SavedViewForm(initial={"query": query}, label_suffix=""),
    }
    return render(request, "diagnosis/worklist.html", context)


@require_POST
@permission_required((VIEW, REVIEW), raise_exception=True)
def diagnosis_review(request: HttpRequest, pk: int) -> HttpResponse:
    """Record a review and go on to the next field of the case that has none."""
    diagnosis = get_object_or_404(selectors.diagnosis_list(), pk=pk)
    form = ReviewForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Nothing was recorded: choose agree, another class, or unusable.")
        return redirect(diagnosis)
    sent = form.cleaned_data
    try:
        review_create(
            actor=cast(User, request.user),
            diagnosis=diagnosis,
            verdict=Verdict(sent["verdict"]),
            label=sent["label"],
            reason=sent["reason"],
        )
    except CaseError as error:
        messages.error(request, f"Nothing was recorded. {error}")
        return redirect(diagnosis)
    following = case_selectors.next_unreviewed(diagnosis)
    if following is None:
        messages.success(request, "Every screened field of this case is reviewed.")
        return redirect(diagnosis.specimen)  # type: ignore[arg-type]
    return redirect(following)


@require_POST
@permission_required((VIEW, REVIEW), raise_exception=True)
def case_agree_with_all(request: HttpRequest, accession: str) -> HttpResponse:
    """Agree with every field of a case that nobody has reviewed yet."""
    case = _case(accession)
    agreed = agree_with_all(actor=cast(User, request.user), case=case)
    fields = "field" if agreed == 1 else "fields"
    messages.success(request, f"Agreed with {agreed} {fields}. Each can still be changed.")
    return redirect(case.specimen)


@require_POST
@permission_required((VIEW, MANAGE), raise_exception=True)
def case_take(request: HttpRequest, accession: str) -> HttpResponse:
    """Assign a case to the one who asks; with ``back`` in the form, to nobody."""
    case = _case(accession)
    user = cast(User, request.user)
    case_assign(actor=user, case=case, assignee=None if "back" in request.POST else user)
    return redirect(case.specimen)


@require_POST
@permission_required((VIEW, MANAGE), raise_exception=True)
def case_priority(request: HttpRequest, accession: str) -> HttpResponse:
    """Say how soon somebody is to look at a case."""
    case = _case(accession)
    sent = request.POST.get("priority", "")
    if sent not in map(str, Priority.values):
        messages.error(request, "The priority stays as it is: choose one of the list.")
    elif int(sent) != case.priority:
        case_prioritise(actor=cast(User, request.user), case=case, priority=Priority(int(sent)))
    return redirect(case.specimen)


def _case(accession: str) -> Case:
    cases = Case.objects.select_related("specimen", "assignee")
    return get_object_or_404(cases, specimen__accession_number=accession)
