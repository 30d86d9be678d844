"""Taking out a field that does not belong where it is, such as one of another patient.

It stays in the record, struck out, and counts nowhere. A withdrawal stands: whoever wants the
image after all uploads it again.
"""

from django.contrib.auth.models import AbstractBaseUser, User
from django.db import transaction
from django.utils.translation import gettext as _

from diagnosis.cases.services import CaseError, case_refresh, require_open
from diagnosis.models import Case, Diagnosis, Withdrawal
from webapp.audit.services import audit_record
from webapp.text.typed import clean_text


def field_withdraw(*, actor: AbstractBaseUser, diagnosis: Diagnosis, reason: str) -> Withdrawal:
    """Take a field out of its case, or out of those that wait for a specimen.

    A field that somebody has read is evidence: whoever may not read fields does not take it out.

    Raises:
        CaseError: there is no reason, it was withdrawn before, the case is signed, or it was read
            and ``actor`` may not read fields.
    """
    reason = clean_text(reason)
    if not reason:
        raise CaseError(
            "reason_missing", _("Give a reason: it stands in the record and the report.")
        )
    with transaction.atomic():
        # The row of the field is locked: nobody assigns what is being withdrawn.
        row = Diagnosis.objects.select_for_update().get(pk=diagnosis.pk)
        if row.specimen_id is not None:
            require_open(Case.objects.select_for_update().get(specimen=row.specimen_id))
        _require_withdrawable(row, actor)
        withdrawal = Withdrawal.objects.create(
            diagnosis=row,
            author=actor,  # type: ignore[misc]
            reason=reason,
        )
        audit_record(
            actor=actor,
            action="diagnosis.withdrawn",
            target=row,
            detail={"withdrawal_id": withdrawal.pk, "specimen_id": row.specimen_id},
        )
        if row.specimen_id is not None:
            case_refresh(row.specimen_id)
    return withdrawal


def _require_withdrawable(diagnosis: Diagnosis, actor: AbstractBaseUser) -> None:
    if Withdrawal.objects.filter(diagnosis=diagnosis).exists():
        raise CaseError("withdrawn", _("The field was withdrawn already."))
    may_read = isinstance(actor, User) and actor.has_perm("diagnosis.add_review")
    if diagnosis.reviews.exists() and not may_read:
        raise CaseError(
            "read_already",
            _("Somebody has read this field: ask a person who may read fields to withdraw it."),
        )
