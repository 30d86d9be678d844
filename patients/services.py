"""Writing patients and specimens: each function is one transaction with its audit events.

Invalid values raise Django's ``ValidationError`` with the fields they belong to. Audit events
name the fields that changed, never their values.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from patients.models import Patient, Specimen
from webapp.audit.services import audit_record

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


class ChangedMeanwhile(ValidationError):
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
        ChangedMeanwhile: it is not what is stored.
    """
    if seen and seen != row_version(stored):
        raise ChangedMeanwhile(stored)


def patient_create(*, actor: Actor, **values: Any) -> Patient:
    """Register a patient; ``values`` are fields of ``Patient``."""
    return _create(Patient(**values), actor)


def patient_update(*, actor: Actor, patient: Patient, seen: str = "", **changes: Any) -> Patient:
    """Change ``patient``; returns the row as it now is. No change, no audit event.

    Args:
        seen: as for ``require_unchanged``, which it raises of.
    """
    return _update(patient, actor, changes, seen)


def patient_delete(*, actor: Actor, patient: Patient, seen: str = "") -> None:
    """Delete ``patient`` with its specimens.

    Raises:
        DeletionRefused: one of the specimens has a diagnosis; nothing is deleted.
    """
    try:
        with transaction.atomic():
            require_unchanged(Patient.objects.select_for_update().get(pk=patient.pk), seen)
            for specimen in patient.specimens.all():
                audit_record(
                    actor=actor,
                    action="specimen.deleted",
                    target=specimen,
                    detail={"patient_id": patient.pk},
                )
            audit_record(actor=actor, action="patient.deleted", target=patient)
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


def specimen_update(
    *, actor: Actor, specimen: Specimen, seen: str = "", **changes: Any
) -> Specimen:
    """Change ``specimen``; returns the row as it now is. No change, no audit event.

    Args:
        seen: as for ``require_unchanged``, which it raises of.
    """
    return _update(specimen, actor, changes, seen)


def specimen_delete(*, actor: Actor, specimen: Specimen, seen: str = "") -> None:
    """Delete ``specimen``.

    Raises:
        DeletionRefused: it has a diagnosis; nothing is deleted.
    """
    try:
        with transaction.atomic():
            require_unchanged(Specimen.objects.select_for_update().get(pk=specimen.pk), seen)
            audit_record(
                actor=actor,
                action="specimen.deleted",
                target=specimen,
                detail={"patient_id": specimen.patient_id},
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


def listing_record(*, actor: Actor, rows: Iterable[models.Model]) -> None:
    """Audit that ``actor`` was shown one page of a list of patients or specimens.

    One event a page, with the ids of what was on it; its target is the reader, because an
    event has one target. An empty page shows nobody's data and leaves no event.
    """
    shown = list(rows)
    if shown and isinstance(actor, models.Model):
        audit_record(
            actor=actor,
            action=f"{shown[0]._meta.model_name}.listed",
            target=actor,
            detail={"ids": [row.pk for row in shown]},
        )


def _create(row: Row, actor: Actor) -> Row:
    with transaction.atomic():
        row.full_clean()
        _save(row)
        audit_record(actor=actor, action=f"{row._meta.model_name}.created", target=row)
    return row


def _update(row: Row, actor: Actor, changes: Mapping[str, Any], seen: str = "") -> Row:
    with transaction.atomic():
        # A form has written on `row` already: what changed is only seen against the stored one.
        stored = type(row)._default_manager.select_for_update().get(pk=row.pk)
        require_unchanged(stored, seen)
        before = {name: getattr(stored, name) for name in changes}
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
                detail={"fields": changed},
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
