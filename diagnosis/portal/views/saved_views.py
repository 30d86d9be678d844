"""A person's own views of the work list, saved and deleted from its page."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from diagnosis.cases.saved_views import SavedViewError, view_delete, view_save
from diagnosis.models import SavedView
from diagnosis.portal.permissions import VIEW, VIEW_CASES
from diagnosis.portal.worklist_forms import SavedViewForm
from webapp.text.typed import isolated


@require_POST
@permission_required((VIEW, VIEW_CASES), raise_exception=True)
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters of the work list under a name, and show it with them."""
    form = SavedViewForm(request.POST)
    query = request.POST.get("query", "")
    if not form.is_valid():
        reasons = " ".join(str(reason) for errors in form.errors.values() for reason in errors)
        messages.error(request, _("The view is not saved. %(reasons)s") % {"reasons": reasons})
        return _worklist(query)
    query, name = form.cleaned_data["query"], form.cleaned_data["name"]
    try:
        view_save(actor=cast(User, request.user), name=name, query=query)
    except SavedViewError as error:
        messages.error(request, _("The view is not saved. %(reasons)s") % {"reasons": error})
    else:
        messages.success(request, _("The view “%(name)s” is saved.") % {"name": isolated(name)})
    return _worklist(query)


@require_POST
@permission_required((VIEW, VIEW_CASES), raise_exception=True)
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Be rid of one of one's own views; the work list goes on showing the same cases."""
    user = cast(User, request.user)
    view = get_object_or_404(SavedView, pk=pk, user=user)
    view_delete(actor=user, view=view)
    messages.success(request, _("The view “%(name)s” is deleted.") % {"name": isolated(view.name)})
    return _worklist(view.query)


def _worklist(query: str) -> HttpResponse:
    return redirect(f"{reverse('worklist')}?{query}" if query else "worklist")
