"""The rows of this application."""

from diagnosis.models.case import Case, Priority
from diagnosis.models.diagnosis import (
    ATTEMPTS_ALLOWED,
    FIELD_KINDS,
    RESULT_FIELDS,
    Diagnosis,
    DiagnosisQuerySet,
    ReadOnlyResultError,
)
from diagnosis.models.review import Review
from diagnosis.models.saved_view import SavedView
from diagnosis.models.shadow import ShadowAnswer

__all__ = [
    "ATTEMPTS_ALLOWED",
    "FIELD_KINDS",
    "RESULT_FIELDS",
    "Case",
    "Diagnosis",
    "DiagnosisQuerySet",
    "Priority",
    "ReadOnlyResultError",
    "Review",
    "SavedView",
    "ShadowAnswer",
]
