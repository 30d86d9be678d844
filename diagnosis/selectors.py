"""Everything that reads diagnoses for a page or an answer."""

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from diagnosis.models import Diagnosis
from diagnosis.state import Status
from patients.models import Patient, Specimen


def diagnosis_list() -> QuerySet[Diagnosis]:
    """All diagnoses with specimen and patient, newest first."""
    return Diagnosis.objects.select_related("specimen__patient")


def diagnoses_of_patient(patient: Patient) -> QuerySet[Diagnosis]:
    """The diagnoses in one patient's record, newest first."""
    return diagnosis_list().filter(specimen__patient=patient)


def diagnoses_of_specimen(specimen: Specimen) -> QuerySet[Diagnosis]:
    """The fields of one specimen, newest first."""
    return diagnosis_list().filter(specimen=specimen)


def diagnoses_unassigned() -> QuerySet[Diagnosis]:
    """Fields that no specimen has claimed, newest first."""
    return diagnosis_list().filter(specimen=None)


def diagnoses_due(limit: int = 500) -> list[int]:
    """Ids of ``received`` diagnoses that nobody works on and whose time has come, oldest first.

    Fresh rows are left to the request that made them.
    """
    now = timezone.now()
    due = Diagnosis.objects.filter(
        Q(lease_until__lte=now)
        | Q(lease_until=None, next_attempt_at__lte=now)
        | Q(lease_until=None, next_attempt_at=None, created_at__lte=now - timedelta(seconds=10)),
        status=Status.RECEIVED,
    )
    return list(due.order_by("id").values_list("pk", flat=True)[:limit])
