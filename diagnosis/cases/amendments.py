"""Opening signed cases again."""

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext

from diagnosis.cases.services import CaseError
from diagnosis.core.state import AmendmentKind
from diagnosis.models import Amendment, Case, Report
from webapp.audit.services import audit_record


def latest_report(case: Case) -> Report | None:
    """The report that holds, if the case was ever signed."""
    return Report.objects.filter(case=case).order_by("-number").first()


def amendment_open(
    *, actor: AbstractBaseUser, case: Case, reason: str, kind: AmendmentKind
) -> Amendment:
    """Open a signed case again; call it while the case's row is locked.

    Raises:
        CaseError: it is not signed, or is open already.
    """
    report = latest_report(case)
    if report is None or not case.closed:
        raise CaseError("not_signed", gettext("Only a signed case can be amended."))
    amendment = Amendment.objects.create(
        report=report,
        author=actor,  # type: ignore[misc]
        kind=kind.value,
        reason=reason,
    )
    Case.objects.filter(pk=case.pk).reopen()
    audit_record(
        actor=actor,
        action="case.amendment_opened",
        target=case,
        detail={"amendment_id": amendment.pk, "report": report.number, "kind": kind.value},
    )
    return amendment
