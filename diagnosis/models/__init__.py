"""The rows of this application."""

from diagnosis.models.case import Case, Priority
from diagnosis.models.correction import CorrectedCase, IdentityCorrection
from diagnosis.models.diagnosis import (
    ATTEMPTS_ALLOWED,
    DEMONSTRATION,
    FIELD_KINDS,
    RESULT_FIELDS,
    STANDING,
    Diagnosis,
    DiagnosisQuerySet,
    ReadOnlyResultError,
)
from diagnosis.models.review import Review
from diagnosis.models.saved_view import SavedView
from diagnosis.models.shadow import ShadowAnswer
from diagnosis.models.signoff import Amendment, Conclusion, Report, Signature
from diagnosis.models.withdrawal import Withdrawal

__all__ = [
    "ATTEMPTS_ALLOWED",
    "DEMONSTRATION",
    "FIELD_KINDS",
    "RESULT_FIELDS",
    "STANDING",
    "Amendment",
    "Case",
    "Conclusion",
    "CorrectedCase",
    "Diagnosis",
    "DiagnosisQuerySet",
    "IdentityCorrection",
    "Priority",
    "ReadOnlyResultError",
    "Report",
    "Review",
    "SavedView",
    "ShadowAnswer",
    "Signature",
    "Withdrawal",
]
