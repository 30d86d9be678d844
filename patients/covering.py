"""What a change of a patient or specimen needs before it is written.

Patients know nothing of diagnoses. Whoever relies on who a patient is, and which specimen theirs,
says here what a change needs, and puts on record that it was made.
"""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from patients.models import Patient, Specimen
from webapp.domain_error import DomainError

Actor = AbstractBaseUser | AnonymousUser | None
REASON_LENGTH = 500


class ChangeRefusedError(DomainError):
    """Something that is signed states what would be changed; nothing is changed.

    Its code is ``signed`` where this account may not make the correction, ``reason_missing`` where
    it has to say why.
    """


class Cover:
    """Asked about every change; this one lets everything pass."""

    def covers(self, row: Patient | Specimen) -> bool:
        """Whether something that is signed states what ``row`` says."""
        return False

    def check(
        self, actor: Actor, row: Patient | Specimen, names: Collection[str], reason: str
    ) -> None:
        """See whether ``actor`` may change the fields ``names`` of ``row`` for ``reason``.

        Raises:
            ChangeRefusedError: not so.
        """

    def record(
        self,
        actor: Actor,
        row: Patient | Specimen,
        changes: Mapping[str, tuple[Any, Any]],
        reason: str,
    ) -> None:
        """Check, and put the change on record; within the transaction that then writes it.

        Args:
            row: as it will be.
            changes: old and new value by name of field.

        Raises:
            ChangeRefusedError: as ``check``.
        """


_cover = Cover()


def cover() -> Cover:
    """Whoever is to be asked."""
    return _cover


def cover_set(wanted: Cover) -> None:
    """Have ``wanted`` asked from now on; called once, when the apps are ready."""
    global _cover
    _cover = wanted
