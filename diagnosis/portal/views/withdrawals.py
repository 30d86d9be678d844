"""Withdrawing a field: HTTP only."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from diagnosis.cases.services import CaseError, number_of
from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.fields import selectors
from diagnosis.portal.forms import WithdrawForm
from diagnosis.portal.permissions import VIEW, WITHDRAW
from webapp.audit.services import audit_record


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required((VIEW, WITHDRAW), raise_exception=True)
def diagnosis_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask why, then take a field out of its case or out of the unassigned ones."""
    diagnosis = get_object_or_404(selectors.diagnosis_list(), pk=pk)
    if diagnosis.withdrawn:
        messages.info(request, _("The field was withdrawn already."))
        return redirect(diagnosis)
    form = WithdrawForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            field_withdraw(
                actor=cast(User, request.user),
                diagnosis=diagnosis,
                reason=form.cleaned_data["reason"],
            )
        except CaseError as error:
            form.add_error("reason" if error.code == "reason_missing" else None, str(error))
        else:
            messages.success(request, _("The field is withdrawn; it stays in the record."))
            return redirect(diagnosis.specimen or "unassigned")
    if request.method == "GET":
        audit_record(actor=request.user, action="diagnosis.viewed", target=diagnosis)
    context = {
        "diagnosis": diagnosis,
        "specimen": diagnosis.specimen,
        "number": number_of(diagnosis) if diagnosis.specimen else diagnosis.pk,
        "form": form,
    }
    return render(request, "diagnosis/diagnosis_withdraw.html", context)
