"""The work list: one row a case, what needs a person first."""

from typing import cast

from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from diagnosis import case_selectors
from diagnosis.portal.views import VIEW
from patients.services import listing_record

PAGE_SIZE = 50


@require_safe
@permission_required(VIEW, raise_exception=True)
def worklist(request: HttpRequest) -> HttpResponse:
    """Open cases, or those that a view and a search leave."""
    shown, search = request.GET.get("show", ""), request.GET.get("search", "").strip()
    shown = shown if shown in case_selectors.VIEWS else ""
    cases = case_selectors.case_search(shown=shown, search=search, user=cast(User, request.user))
    page = case_selectors.cases_page(cases, after=request.GET.get("after", ""), size=PAGE_SIZE)
    listing_record(actor=request.user, rows=page.cases)
    context = {
        "page": page,
        "shown": shown,
        "search": search,
        "views": {name: view.title for name, view in case_selectors.VIEWS.items()},
    }
    return render(request, "diagnosis/worklist.html", context)
