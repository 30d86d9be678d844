"""The rows of this application."""

from diagnosis.models.case import Case, Priority
from diagnosis.models.diagnosis import (
    ATTEMPTS_ALLOWED,
    DEMONSTRATION,
    FIELD_KINDS,
    RESULT_FIELDS,
    Diagnosis,
    DiagnosisQuerySet,
    ReadOnlyResultError,
)
from diagnosis.models.review import Review
from diagnosis.models.saved_view import SavedView
from diagnosis.models.shadow import ShadowAnswer
from diagnosis.models.signoff import Amendment, Conclusion, Report, Signature

__all__ = [
    "ATTEMPTS_ALLOWED",
    "DEMONSTRATION",
    "FIELD_KINDS",
    "RESULT_FIELDS",
    "Amendment",
    "Case",
    "Conclusion",
    "Diagnosis",
    "DiagnosisQuerySet",
    "Priority",
    "ReadOnlyResultError",
    "Report",
    "Review",
    "SavedView",
    "ShadowAnswer",
    "Signature",
]
