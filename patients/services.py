"""Writing patients and specimens: each function is one transaction with its audit events.

Invalid values raise Django's ``ValidationError`` with the fields they belong to; a change of what
something signed states needs a ``reason`` and raises ``covering.ChangeRefusedError``. Audit events
keep what a field was and what it became, as who a record belongs to must be told for ever.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, models, transaction
from django.utils.translation import gettext as _

from patients.covering import Actor, cover
from patients.models import Patient, Specimen
from webapp.audit.services import audit_record, recorded_change, recorded_values
from webapp.audit.services import listing_record as listing_record
from webapp.domain_error import DomainError

Row = TypeVar("Row", Patient, Specimen)


class DeletionRefusedError(DomainError):
    """A diagnosis refers to the row, and results are kept for ever.

    Its code is ``patient_has_diagnoses`` or ``specimen_has_diagnoses``.
    """


class ChangedMeanwhileError(ValidationError):
    """Somebody has changed the row since the editor was shown it; nothing is written.

    Attributes:
        stored: the row as it now is.
    """

    def __init__(self, stored: Patient | Specimen) -> None:
        super().__init__(
            _(
                "Somebody else has changed this meanwhile. Compare what is stored now with your "
                "input, correct it where needed, and save again."
            ),
            "changed_meanwhile",
        )
        self.stored = stored


def row_version(row: Patient | Specimen) -> str:
    """A fingerprint of everything that is stored of ``row``, 32 hexadecimal digits."""
    values = [field.value_to_string(row) for field in row._meta.concrete_fields]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


def require_unchanged(stored: Patient | Specimen, seen: str) -> None:
    """Refuse to write over what the editor has not seen; call it while the row is locked.

    Args:
        seen: ``row_version`` of what the editor was shown; empty where nobody was shown anything.

    Raises:
        ChangedMeanwhileError: it is not what is stored.
    """
    if seen and seen != row_version(stored):
        raise ChangedMeanwhileError(stored)


def patient_create(*, actor: Actor, **values: Any) -> Patient:
    """Register a patient; ``values`` are fields of ``Patient``."""
    return _create(Patient(**values), actor)


def patient_update(
    *, actor: Actor, patient: Patient, seen: str = "", reason: str = "", **changes: Any
) -> Patient:
    """Change ``patient``; returns the row as it now is. No change, no audit event.

    Args:
        seen: as for ``require_unchanged``, which it raises of.
        reason: as for ``covering.Cover.record``, which it raises of.
    """
    return _update(patient, actor, changes, seen, reason)


def patient_delete(*, actor: Actor, patient: Patient, seen: str = "") -> None:
    """Delete ``patient`` with its specimens.

    Raises:
        DeletionRefusedError: one of the specimens has a diagnosis; nothing is deleted.
    """
    try:
        with transaction.atomic():
            require_unchanged(Patient.objects.select_for_update().get(pk=patient.pk), seen)
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
    except DatabaseError as error:  # ProtectedError, or the database when a diagnosis raced us
        _require_referred_to(error)
        raise DeletionRefusedError("patient_has_diagnoses", _why_kept(patient)) from error


def specimen_create(*, actor: Actor, **values: Any) -> Specimen:
    """Register a specimen; ``values`` are fields of ``Specimen``."""
    return _create(Specimen(**values), actor)


def specimen_update(
    *, actor: Actor, specimen: Specimen, seen: str = "", reason: str = "", **changes: Any
) -> Specimen:
    """Change ``specimen``; returns the row as it now is. No change, no audit event.

    Args:
        seen: as for ``require_unchanged``, which it raises of.
        reason: as for ``covering.Cover.record``, which it raises of.
    """
    return _update(specimen, actor, changes, seen, reason)


def specimen_delete(*, actor: Actor, specimen: Specimen, seen: str = "") -> None:
    """Delete ``specimen``.

    Raises:
        DeletionRefusedError: it has a diagnosis; nothing is deleted.
    """
    try:
        with transaction.atomic():
            require_unchanged(Specimen.objects.select_for_update().get(pk=specimen.pk), seen)
            audit_record(
                actor=actor,
                action="specimen.deleted",
                target=specimen,
                detail={"from": recorded_values(specimen)},
            )
            Specimen.objects.filter(pk=specimen.pk).delete()
    except DatabaseError as error:
        _require_referred_to(error)
        raise DeletionRefusedError(
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


def _update(row: Row, actor: Actor, changes: Mapping[str, Any], seen: str, reason: str) -> Row:
    with transaction.atomic():
        # A form has written on `row` already: what changed is only seen against the stored one.
        stored = type(row)._default_manager.select_for_update().get(pk=row.pk)
        require_unchanged(stored, seen)
        before = {name: getattr(stored, name) for name in changes}
        were = recorded_values(stored)
        for name, value in changes.items():
            setattr(stored, name, value)
        stored.full_clean()
        changed = sorted(name for name in changes if getattr(stored, name) != before[name])
        if changed:
            values = {name: (before[name], getattr(stored, name)) for name in changed}
            cover().record(actor, stored, values, reason)
            _save(stored)
            audit_record(
                actor=actor,
                action=f"{row._meta.model_name}.updated",
                target=stored,
                detail=recorded_change(were, recorded_values(stored), changed),
            )
    return stored


def _why_kept(patient: Patient) -> str:
    if patient.specimens.exists():
        return _(
            "This patient has diagnoses, which are kept for ever, so the record cannot be "
            "deleted. Correct the patient's details instead."
        )
    return _(
        "A specimen with diagnoses was in this patient's record before it was moved, which is kept "
        "for ever, so the record cannot be deleted. Correct the patient's details instead."
    )


def _require_referred_to(error: DatabaseError) -> None:
    """Raise what is no refusal of a deletion: by a foreign key, or by a trigger."""
    if not isinstance(error, IntegrityError) and "is history" not in str(error):
        raise error


def _save(row: models.Model) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        # Somebody took the number between the check and the write: the same refusal.
        row.validate_unique()
        raise
