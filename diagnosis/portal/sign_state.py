"""What the pages of a case say about its signatures."""

from collections.abc import Sequence
from typing import Any

from diagnosis.cases.blinding import Reader
from diagnosis.models import Case, Diagnosis, Signature
from diagnosis.reports.content.snapshot import person
from diagnosis.signing import services as signoff
from diagnosis.signing.blockers import signing_blockers


def sign_state(
    case: Case, reader: Reader, damaged: Sequence[Diagnosis] | None = None
) -> dict[str, Any]:
    """For templates; ``damaged`` as for ``signing_blockers``.

    Returns:
        ``report`` (the one that holds, or ``None``) with ``report_signatures``; ``conclusion``;
        ``blockers``; ``signed_so_far`` (signatures under what the case now is, while another
        is missing); ``amendment``, if one is open, and ``amended_by``.
    """
    report = signoff.latest_report(case)
    amendment = getattr(report, "amendment", None)
    return {
        "report": report,
        "report_signatures": report.signatures if report else [],
        "conclusion": signoff.latest_conclusion(case),
        "blockers": [] if case.closed else signing_blockers(case, reader, damaged),
        "signed_so_far": [] if case.closed else _signed_so_far(case),
        "amendment": amendment,
        "amended_by": person(amendment.author)["name"] if amendment else "",
    }


def _signed_so_far(case: Case) -> list[Signature]:
    return signoff.draft(case)[1] if case.signatures.exists() else []
