"""What of diagnoses, readings and signed cases the database itself keeps as it was.

Fields are frozen unless they are named here as what moves: a column that is added is history from
the day it comes.
"""

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from diagnosis.core.state import CaseStatus, Status
from diagnosis.models import (
    FIELD_KINDS,
    RESULT_FIELDS,
    Case,
    Conclusion,
    Diagnosis,
    Report,
    Review,
    Signature,
    Withdrawal,
)
from diagnosis.models.correction import STATED
from patients.models import Patient, Specimen
from webapp.audit.rules import Frozen, Guard, Rule, fields_but
from webapp.audit.triggers import triggers_amiss, triggers_make, triggers_to_make

_QUEUE = ("lease_until", "attempts", "attempts_max", "next_attempt_at")
_ASSIGNMENT = ("specimen", "intake_key")
_UPLOAD = ("upload_sha256", "image_sha256", "image_name")  # among RESULT_FIELDS
_RESULT = tuple(sorted(RESULT_FIELDS - set(_UPLOAD)))
_FINAL = ", ".join(f"'{status.value}'" for status in (Status.SCREENED, Status.REFUSED))

_WITHDRAWN = "SELECT 1 FROM diagnosis_withdrawal w WHERE w.diagnosis_id = {field}"
_STANDS = f"NOT EXISTS ({_WITHDRAWN.format(field='d.id')})"

FIELDS: tuple[Rule, ...] = (
    Guard(Diagnosis, "delete"),
    Frozen(
        Diagnosis, fields_but(Diagnosis, "id", *_QUEUE, *_ASSIGNMENT, *_RESULT), why="as uploaded"
    ),
    # A result is for ever: not even the status moves on from these two.
    Frozen(Diagnosis, _RESULT, f"OLD.status IN ({_FINAL})", why="result"),
    # An unassigned field gets a specimen once.
    Frozen(
        Diagnosis,
        _ASSIGNMENT,
        "OLD.specimen_id IS NOT NULL OR NEW.specimen_id IS NULL",
        why="assignment",
    ),
    Frozen(
        Diagnosis, _ASSIGNMENT, f"EXISTS ({_WITHDRAWN.format(field='OLD.id')})", why="withdrawn"
    ),
    Guard(Review, "insert", "withdrawn", f"EXISTS ({_WITHDRAWN.format(field='NEW.diagnosis_id')})"),
)

# A case is closed while its latest report has no amendment; all earlier ones have one.
_CLOSED = """
    SELECT 1 FROM diagnosis_report p LEFT JOIN diagnosis_amendment a ON a.report_id = p.id
    WHERE p.case_id = {case} AND a.id IS NULL
"""
_UNREAD = f"""
    SELECT 1 FROM diagnosis_diagnosis d JOIN diagnosis_case c ON c.specimen_id = d.specimen_id
    WHERE c.id = NEW.case_id AND {_STANDS} AND (
        d.status = 'received'
        OR d.status = 'screened'
        AND NOT EXISTS (SELECT 1 FROM diagnosis_review r WHERE r.diagnosis_id = d.id)
    )
"""  # noqa: S608 - of the above
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

# Fields that come after the signature are counted, so a closed case still changes: to what is true.
_COUNTED = {
    **{
        name: f"d.outcome = '{name}'"
        for name in ("suspicious", "indeterminate", "not_suspicious", "rejected")
    },
    "waiting": "d.status = 'received'",
    "failed": "d.status = 'failed'",
    "reviewed": "d.status = 'screened'"
    " AND EXISTS (SELECT 1 FROM diagnosis_review r WHERE r.diagnosis_id = d.id)",
}
_MISCOUNTED = " OR ".join(
    f"NEW.{name} <> (SELECT COUNT(*) FROM diagnosis_diagnosis d "  # noqa: S608 - of the above
    f"WHERE d.specimen_id = NEW.specimen_id AND {_STANDS} AND {which})"
    for name, which in _COUNTED.items()
)
_RECOUNTED = " OR ".join(f"OLD.{name} <> NEW.{name}" for name in _COUNTED)
_SAME_FIELDS = " AND ".join(f"OLD.{name} = NEW.{name}" for name in FIELD_KINDS)

CASES: tuple[Rule, ...] = (
    Guard(Case, "delete", "never_deleted"),
    Guard(Case, "insert", "begins_unsigned", f"NEW.status IN ({_SIGNED}) OR NEW.closed <> 0"),
    Frozen(Case, ("specimen", "created_at"), why="as made"),
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
        "update",
        "closed_by_report",
        f"NEW.closed <> OLD.closed AND NEW.closed <> EXISTS ({_CLOSED.format(case='NEW.id')})",
    ),
    Frozen(
        Case,
        ("headline", "rule", "calm"),
        f"OLD.closed <> 0 AND {_SAME_FIELDS}",
        why="signed",
    ),
    Guard(
        Case,
        "update",
        "signed_miscounted",
        f"OLD.closed <> 0 AND ({_RECOUNTED}) AND ({_MISCOUNTED})",
    ),
)
SIGNOFF: tuple[Rule, ...] = (
    Guard(Report, "insert", "needs_every_field_read", f"EXISTS ({_UNREAD})"),
    Guard(Report, "insert", "needs_signature", f"NOT EXISTS ({_SIGNATURE})"),
    *(
        Guard(model, "insert", "needs_amendment", f"EXISTS ({_CLOSED.format(case='NEW.case_id')})")
        for model in (Report, Conclusion, Signature)
    ),
    *(
        Guard(model, "insert", "needs_amendment", f"EXISTS ({_CLOSED.format(case=_CASE_OF_FIELD)})")
        for model in (Review, Withdrawal)
    ),
)

# What a signed case states of its patient and specimen.
_OF_SPECIMEN = "(SELECT c.id FROM diagnosis_case c WHERE c.specimen_id = OLD.id)"
_OF_PATIENT = """
    SELECT 1 FROM patients_specimen s JOIN diagnosis_case c ON c.specimen_id = s.id
    JOIN diagnosis_report p ON p.case_id = c.id
    LEFT JOIN diagnosis_amendment a ON a.report_id = p.id
    WHERE s.patient_id = OLD.id AND a.id IS NULL
"""
_FIELDS_OF_SPECIMEN = "SELECT 1 FROM diagnosis_diagnosis d WHERE d.specimen_id = OLD.id"
_FIELDS_OF_PATIENT = """
    SELECT 1 FROM patients_specimen s JOIN diagnosis_diagnosis d ON d.specimen_id = s.id
    WHERE s.patient_id = OLD.id
"""
IDENTITY: tuple[Rule, ...] = (
    Frozen(
        Specimen,
        STATED[Specimen],
        f"EXISTS ({_CLOSED.format(case=_OF_SPECIMEN)})",
        why="signed",
    ),
    Frozen(Patient, STATED[Patient], f"EXISTS ({_OF_PATIENT})", why="signed"),
    Frozen(Specimen, ("created_at",), why="as made"),
    Frozen(Patient, ("created_at",), why="as made"),
    # SQLite keeps foreign keys for those connections alone that ask it to.
    Guard(Specimen, "delete", "has_fields", f"EXISTS ({_FIELDS_OF_SPECIMEN})"),
    Guard(Patient, "delete", "has_fields", f"EXISTS ({_FIELDS_OF_PATIENT})"),
)
RULES = (*FIELDS, *CASES, *SIGNOFF, *IDENTITY)


def history_protect(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the triggers anew."""
    triggers_make(apps.get_app_config("diagnosis"), using, RULES)


def history_to_protect(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of triggers that the next migration would make, of this app and of the audit trail."""
    return [
        *triggers_to_make(apps.get_app_config("diagnosis"), using, RULES),
        *triggers_to_make(apps.get_app_config("audit"), using),
    ]


def history_unprotected(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of triggers that are missing or altered, of this app and of the audit trail."""
    return [
        *triggers_amiss(apps.get_app_config("diagnosis"), using, RULES),
        *triggers_amiss(apps.get_app_config("audit"), using),
    ]
