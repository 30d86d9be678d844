"""Signing a case and opening a signed one again: HTTP only."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from diagnosis.cases.services import CaseError
from diagnosis.core.state import Meaning
from diagnosis.models import Case
from diagnosis.portal import wording
from diagnosis.portal.forms import AmendForm, SignForm
from diagnosis.portal.permissions import AMEND, SIGN, VIEW
from diagnosis.portal.sign_state import sign_state
from diagnosis.reports.content.snapshot import reading_sha256
from diagnosis.signing import services as signoff
from diagnosis.signing.blockers import signing_blockers
from webapp.accounts.passwords.attempts import PausedError
from webapp.accounts.passwords.own_password import own_password_is
from webapp.accounts.wording import pause_sentence
from webapp.audit.services import audit_record


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@permission_required((VIEW, SIGN), raise_exception=True)
def case_sign(request: HttpRequest, accession: str) -> HttpResponse:
    """Conclude and sign; who signs says the password again."""
    case = case_of_accession(accession)
    missing = [_("The case is signed.")] if case.closed else signing_blockers(case, request.user)
    if missing:
        messages.error(request, " ".join([_("It cannot be signed now."), *missing]))
        return redirect(case.specimen)
    if request.method != "POST":
        audit_record(actor=request.user, action="case.viewed", target=case)
        return _sign_page(request, case, SignForm(initial=_so_far(case)))
    form = SignForm(request.POST)
    if not form.is_valid():
        return _sign_page(request, case, form)
    try:
        if not own_password_is(request, cast(User, request.user), form.cleaned_data["password"]):
            return _wrong_password(request, case, form)
    except PausedError as error:
        form.add_error("password", pause_sentence(error.seconds))
        paused = _sign_page(request, case, form, status=429)
        paused.headers["Retry-After"] = str(error.seconds)
        return paused
    sent = {name: form.cleaned_data[name] for name in ("headline", "comment", "reason", "seen")}
    try:
        report = signoff.case_sign(actor=cast(User, request.user), case=case, **sent)
    except CaseError as error:
        form.add_error(_ERROR_FIELDS.get(error.code), str(error))
        return _sign_page(request, case, form)
    if report is None:
        messages.success(request, _("Your signature is recorded; one of another person is needed."))
    else:
        messages.success(
            request, _("The case is signed. Report %(number)d is kept.") % {"number": report.number}
        )
    return redirect(case.specimen)


@require_POST
@permission_required((VIEW, AMEND), raise_exception=True)
def case_amend(request: HttpRequest, accession: str) -> HttpResponse:
    """Open a signed case again, for a reason."""
    case = case_of_accession(accession)
    form = AmendForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join([_("The case is not opened."), *form.errors["reason"]]))
        return redirect(case.specimen)
    try:
        signoff.case_amend(
            actor=cast(User, request.user), case=case, reason=form.cleaned_data["reason"]
        )
    except CaseError as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, _("The case is open for an amendment, which ends with another signature.")
        )
    return redirect(case.specimen)


def case_of_accession(accession: str) -> Case:
    """The case of a specimen, with what its pages show; 404 if there is none."""
    cases = Case.objects.select_related("specimen__patient", "assignee")
    return get_object_or_404(cases, specimen__accession_number=accession)


_ERROR_FIELDS = {"reason_missing": "reason", "conclusion_missing": "headline"}


def _so_far(case: Case) -> dict[str, str]:
    """What the last reader concluded; before anybody did, nothing is suggested."""
    last = signoff.latest_conclusion(case)
    if last is None:
        return {}
    return {"headline": last.headline, "comment": last.comment, "reason": last.reason}


def _sign_page(request: HttpRequest, case: Case, form: SignForm, status: int = 200) -> HttpResponse:
    content = signoff.current_content(case, None)
    state = sign_state(case, request.user)
    meaning = Meaning.APPROVAL if state["signed_so_far"] else Meaning.REVIEW
    context = {
        **state,
        "case": case,
        "specimen": case.specimen,
        "patient": case.specimen.patient,
        "form": form,
        "fields": content["fields"],
        "withdrawn": content.get("withdrawn", []),
        "seen": reading_sha256(content),
        "meaning": wording.MEANINGS[meaning],
        "case_rule": wording.case_rule(case, content["software"]["minimum_usable"]),
    }
    return render(request, "diagnosis/case_sign.html", context, status=status)


def _wrong_password(request: HttpRequest, case: Case, form: SignForm) -> HttpResponse:
    audit_record(actor=request.user, action="case.signature_refused", target=case)
    form.add_error("password", _("This is not your password. Nothing is signed."))
    return _sign_page(request, case, form)
