"""The report of a case, as a page and as PDF. What was signed is shown as it was signed."""

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from diagnosis.cases.blinding import to_be_read_by
from diagnosis.cases.services import image_damaged
from diagnosis.models import Case, Diagnosis, Report, Signature
from diagnosis.portal.permissions import REPORT, VIEW
from diagnosis.reports import wording
from diagnosis.reports.content.changes import changes_since
from diagnosis.reports.content.snapshot import Document
from diagnosis.reports.content.view import sheet
from diagnosis.reports.pdf import document as pdf
from diagnosis.signing import services as signoff
from diagnosis.storage.images import damaged_of_specimen
from diagnosis.storage.media import MediaDamagedError, media_read
from webapp.audit.services import audit_record

logger = logging.getLogger(__name__)


class ReportDamagedError(Exception):
    """A signed report is not what it was when it was signed."""

    names_nobody = True  # to be read in the log


@dataclass(frozen=True)
class _Shown:
    """What is to be shown: a signed report, or what the next one would say now."""

    case: Case
    report: Report | None
    content: Document
    signatures: list[Signature]

    @property
    def number(self) -> int:
        return int(self.content["report"]["number"])


@require_safe
@permission_required((VIEW, REPORT), raise_exception=True)
def case_report(request: HttpRequest, accession: str) -> HttpResponse:
    """The report as a page: the last signed one, ``?number=N``, or the preliminary one."""
    try:
        shown = _shown(request, accession)
    except ReportDamagedError as error:
        return _damaged(request, accession, error)
    if _is_kept(request, shown.case):
        return _read_first(request, shown.case)
    _record(request, shown, "html")
    context = {
        "report": sheet(shown.content, shown.signatures, preliminary=shown.report is None),
        "case": shown.case,
        "signed": shown.report,
        "specimen": shown.case.specimen,
        "patient": shown.case.specimen.patient,
        "wording": wording,
        "damage": [image_damaged(one) for one in damaged_of_specimen(shown.case.specimen_id)],
        **_since(shown),
    }
    return render(request, "diagnosis/case_report.html", context)


@require_safe
@permission_required((VIEW, REPORT), raise_exception=True)
def case_report_pdf(request: HttpRequest, accession: str) -> HttpResponse:
    """The same as PDF. That of a signed report is the stored file, or nothing at all."""
    try:
        shown = _shown(request, accession)
        if _is_kept(request, shown.case):
            return _read_first(request, shown.case)
        if shown.report is None:
            data = pdf.render(shown.content, shown.signatures, preliminary=True)
        else:
            data = _stored(shown.report)
    except ReportDamagedError as error:
        return _damaged(request, accession, error)
    _record(request, shown, "pdf")
    mark = "" if shown.report else "-preliminary"
    name = f"{shown.content['specimen']['accession_number']}-report-{shown.number}{mark}.pdf"
    response = HttpResponse(data, content_type="application/pdf")
    response["Content-Disposition"] = content_disposition_header(False, name) or ""
    return response


def _shown(request: HttpRequest, accession: str) -> _Shown:
    """What is asked for.

    Raises:
        Http404: there is no such case or report.
        ReportDamagedError: the content of the report has changed since.
    """
    case = get_object_or_404(
        Case.objects.select_related("specimen__patient"), specimen__accession_number=accession
    )
    report: Report | None = None
    if asked := request.GET.get("number", ""):
        if not asked.isdecimal() or len(asked) > 9:
            raise Http404
        report = get_object_or_404(Report, case=case, number=int(asked))
    elif case.closed:
        report = signoff.latest_report(case)
    if report is None:
        content, signatures = signoff.draft(case)
        return _Shown(case, None, content, signatures)
    if hashlib.sha256(report.content.encode()).hexdigest() != report.content_sha256:
        raise ReportDamagedError(f"content of report {report.number} of case {case.pk} has changed")
    return _Shown(case, report, json.loads(report.content), list(report.signatures))


def _is_kept(request: HttpRequest, case: Case) -> bool:
    """Whether a blinded read still keeps an answer of this case from who asks."""
    fields = Diagnosis.objects.filter(to_be_read_by(request.user), specimen=case.specimen_id)
    return fields.exists()


def _read_first(request: HttpRequest, case: Case) -> HttpResponse:
    messages.info(
        request, gettext("The report is shown once you have read each screened field of the case.")
    )
    return redirect(case.specimen)


def _stored(report: Report) -> bytes:
    """The PDF that was made when the report was signed.

    Raises:
        ReportDamagedError: it is missing, or not the same any more.
    """
    what = f"PDF of report {report.number} of case {report.case_id}"
    try:
        return media_read(report.pdf_name, report.pdf_sha256)
    except MediaDamagedError as damage:
        raise ReportDamagedError(f"{what} {damage}") from damage


def _since(shown: _Shown) -> dict[str, Any]:
    """All reports of the case, and what speaks against relying on the one that is shown."""
    reports = list(Report.objects.filter(case=shown.case).order_by("-number"))
    latest = reports[0] if reports else None
    replaced = latest if shown.report and shown.report != latest else None
    changes = []
    if shown.report and not replaced:
        changes = changes_since(shown.content, signoff.current_content(shown.case, None))
    return {"reports": reports, "replaced_by": replaced, "changes": changes}


def _record(request: HttpRequest, shown: _Shown, form: str) -> None:
    audit_record(
        actor=request.user,
        action="report.viewed",
        target=shown.case,
        detail={"number": shown.number, "form": form, "signed": shown.report is not None},
    )


def _damaged(request: HttpRequest, accession: str, error: ReportDamagedError) -> HttpResponse:
    logger.error("A signed report is not served: %s; see manage.py check_integrity", error)
    context = {"accession": accession, "title": gettext("This report cannot be shown")}
    return render(request, "diagnosis/report_damaged.html", context, status=500)
