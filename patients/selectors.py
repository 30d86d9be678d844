"""Reading patients and specimens; nothing here writes."""

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from patients.models import Patient, Specimen


def patient_list(*, search: str = "") -> QuerySet[Patient]:
    """Patients by name, each with ``specimen_count``.

    Args:
        search: words that must all occur, each in the record number, the name or an
            accession number of the patient; empty for everybody.
    """
    # Counting groups the rows, and Django then drops the model's own ordering.
    patients = Patient.objects.annotate(specimen_count=Count("specimens")).order_by("name", "id")
    for word in search.split():
        specimens = Specimen.objects.filter(
            patient=OuterRef("pk"), accession_number__icontains=word
        )
        patients = patients.filter(
            Q(medical_record_number__icontains=word) | Q(name__icontains=word) | Exists(specimens)
        )
    return patients


def specimen_list(*, search: str = "", patient_id: int | None = None) -> QuerySet[Specimen]:
    """Specimens, newest first, with their patients.

    Args:
        search: words that must all occur, each in the accession number or in the patient's
            record number or name; empty for all.
        patient_id: only this patient's.
    """
    specimens = Specimen.objects.select_related("patient")
    if patient_id is not None:
        specimens = specimens.filter(patient_id=patient_id)
    for word in search.split():
        specimens = specimens.filter(
            Q(accession_number__icontains=word)
            | Q(patient__medical_record_number__icontains=word)
            | Q(patient__name__icontains=word)
        )
    return specimens
