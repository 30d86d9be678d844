"""What of diagnoses, readings and signed cases the database itself keeps as it was."""

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from diagnosis.models import RESULT_FIELDS, Case, Diagnosis, Report, Review
from diagnosis.state import CaseStatus, Status
from webapp.audit.triggers import Frozen, Guard, triggers_make, triggers_missing

# A result is for ever: not even the status moves on from these two.
RESULTS = Frozen(
    model=Diagnosis,
    column="status",
    values=(Status.SCREENED.value, Status.REFUSED.value),
    columns=tuple(sorted(RESULT_FIELDS)),
)

# A case is closed while its latest report has no amendment; all earlier ones have one.
_CLOSED = """
    SELECT 1 FROM diagnosis_report p LEFT JOIN diagnosis_amendment a ON a.report_id = p.id
    WHERE p.case_id = {case} AND a.id IS NULL
"""
_UNREAD = """
    SELECT 1 FROM diagnosis_diagnosis d JOIN diagnosis_case c ON c.specimen_id = d.specimen_id
    WHERE c.id = NEW.case_id AND (
        d.status = 'received'
        OR d.status = 'screened'
        AND NOT EXISTS (SELECT 1 FROM diagnosis_review r WHERE r.diagnosis_id = d.id)
    )
"""
_SIGNATURE = """
    SELECT 1 FROM diagnosis_signature s
    WHERE s.case_id = NEW.case_id AND s.content_sha256 = NEW.content_sha256
"""
_CASE_OF_FIELD = """(
    SELECT c.id FROM diagnosis_case c JOIN diagnosis_diagnosis d ON d.specimen_id = c.specimen_id
    WHERE d.id = NEW.diagnosis_id
)"""
_REPORT = "SELECT 1 FROM diagnosis_report p WHERE p.case_id = NEW.id"
_SIGNED = ", ".join(f"'{status.value}'" for status in (CaseStatus.SIGNED, CaseStatus.AMENDED))

RULES = (
    RESULTS,
    Guard(Case, "delete", "never_deleted"),
    Guard(
        Case,
        "update",
        "signed_stays_signed",
        f"OLD.status IN ({_SIGNED}) AND NEW.status NOT IN ({_SIGNED})",
    ),
    Guard(
        Case,
        "update",
        "signed_needs_report",
        f"NEW.status IN ({_SIGNED}) AND NOT EXISTS ({_REPORT})",
    ),
    Guard(
        Case,
        "insert",
        "begins_unsigned",
        f"NEW.status IN ({_SIGNED})",
    ),
    Guard(Report, "insert", "needs_every_field_read", f"EXISTS ({_UNREAD})"),
    Guard(Report, "insert", "needs_signature", f"NOT EXISTS ({_SIGNATURE})"),
    Guard(Report, "insert", "needs_amendment", f"EXISTS ({_CLOSED.format(case='NEW.case_id')})"),
    Guard(Review, "insert", "needs_amendment", f"EXISTS ({_CLOSED.format(case=_CASE_OF_FIELD)})"),
)


def history_protect(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the triggers anew."""
    triggers_make(apps.get_app_config("diagnosis"), using, RULES)


def history_unprotected(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of triggers that are missing, of this app and of the audit trail."""
    return [
        *triggers_missing(apps.get_app_config("diagnosis"), using, RULES),
        *triggers_missing(apps.get_app_config("audit"), using),
    ]
