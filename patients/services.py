"""Writing patients and specimens: each function is one transaction with its audit events.

Invalid values raise Django's ``ValidationError`` with the fields they belong to. Audit events
keep what a field was and what it became, as who a record belongs to must be told for ever.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from patients.models import Patient, Specimen
from webapp.audit.services import audit_record, recorded_change, recorded_values
from webapp.audit.services import listing_record as listing_record

Actor = AbstractBaseUser | AnonymousUser | None
Row = TypeVar("Row", Patient, Specimen)


class DeletionRefused(Exception):
    """A diagnosis refers to the row, and results are kept for ever.

    Attributes:
        code: ``patient_has_diagnoses`` or ``specimen_has_diagnoses``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def patient_create(*, actor: Actor, **values: Any) -> Patient:
    """Register a patient; ``values`` are fields of ``Patient``."""
    return _create(Patient(**values), actor)


def patient_update(*, actor: Actor, patient: Patient, **changes: Any) -> Patient:
    """Change ``patient``; returns the row as it now is. No change, no audit event."""
    return _update(patient, actor, changes)


def patient_delete(*, actor: Actor, patient: Patient) -> None:
    """Delete ``patient`` with its specimens.

    Raises:
        DeletionRefused: one of the specimens has a diagnosis; nothing is deleted.
    """
    try:
        with transaction.atomic():
            for specimen in patient.specimens.all():
                audit_record(
                    actor=actor,
                    action="specimen.deleted",
                    target=specimen,
                    detail={"from": recorded_values(specimen)},
                )
            audit_record(
                actor=actor,
                action="patient.deleted",
                target=patient,
                detail={"from": recorded_values(patient)},
            )
            Patient.objects.filter(pk=patient.pk).delete()
    except IntegrityError as error:  # ProtectedError, or the database when a diagnosis raced us
        raise DeletionRefused(
            "patient_has_diagnoses",
            _(
                "This patient has diagnoses, which are kept for ever, so the record cannot be "
                "deleted. Correct the patient's details instead."
            ),
        ) from error


def specimen_create(*, actor: Actor, **values: Any) -> Specimen:
    """Register a specimen; ``values`` are fields of ``Specimen``."""
    return _create(Specimen(**values), actor)


def specimen_update(*, actor: Actor, specimen: Specimen, **changes: Any) -> Specimen:
    """Change ``specimen``; returns the row as it now is. No change, no audit event."""
    return _update(specimen, actor, changes)


def specimen_delete(*, actor: Actor, specimen: Specimen) -> None:
    """Delete ``specimen``.

    Raises:
        DeletionRefused: it has a diagnosis; nothing is deleted.
    """
    try:
        with transaction.atomic():
            audit_record(
                actor=actor,
                action="specimen.deleted",
                target=specimen,
                detail={"from": recorded_values(specimen)},
            )
            Specimen.objects.filter(pk=specimen.pk).delete()
    except IntegrityError as error:
        raise DeletionRefused(
            "specimen_has_diagnoses",
            _(
                "This specimen has diagnoses, which are kept for ever, so it cannot be deleted. "
                "Correct the specimen's details instead."
            ),
        ) from error


def _create(row: Row, actor: Actor) -> Row:
    with transaction.atomic():
        row.full_clean()
        _save(row)
        audit_record(actor=actor, action=f"{row._meta.model_name}.created", target=row)
    return row


def _update(row: Row, actor: Actor, changes: Mapping[str, Any]) -> Row:
    with transaction.atomic():
        # A form has written on `row` already: what changed is only seen against the stored one.
        stored = type(row)._default_manager.select_for_update().get(pk=row.pk)
        before = {name: getattr(stored, name) for name in changes}
        were = recorded_values(stored)
        for name, value in changes.items():
            setattr(stored, name, value)
        stored.full_clean()
        changed = sorted(name for name in changes if getattr(stored, name) != before[name])
        if changed:
            _save(stored)
            audit_record(
                actor=actor,
                action=f"{row._meta.model_name}.updated",
                target=stored,
                detail=recorded_change(were, recorded_values(stored), changed),
            )
    return stored


def _save(row: models.Model) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        # Somebody took the number between the check and the write: the same refusal.
        row.validate_unique()
        raise
