"""Corrections of who a signed case is about: what a signature covers changes by amendment alone.

``patients`` asks ``SignedCover`` about every change. A correction opens the cases that state what
is corrected, all in one transaction, and stays on record in both patients' where a specimen moves.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, cast

from django.contrib.auth.models import AbstractBaseUser, User
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from diagnosis.cases.amendments import amendment_open, latest_report
from diagnosis.core.state import AmendmentKind, CaseStatus
from diagnosis.models import Amendment, Case, CorrectedCase, IdentityCorrection
from diagnosis.models.correction import STATED
from patients.covering import Actor, ChangeRefusedError, Cover
from patients.models import Patient, Specimen
from webapp.audit.services import audit_record
from webapp.text.typed import clean_text

AMEND = "diagnosis.add_amendment"
_SIGNED = (CaseStatus.SIGNED.value, CaseStatus.AMENDED.value)


class SignedCover(Cover):
    """Covers what the reports of signed cases state, also while an amendment is open."""

    def covers(self, row: Patient | Specimen) -> bool:
        """Whether a case of ``row`` was ever signed."""
        return row.pk is not None and _cases(row).filter(status__in=_SIGNED).exists()

    def check(
        self, actor: Actor, row: Patient | Specimen, names: Collection[str], reason: str
    ) -> None:
        """See whether ``actor`` may correct ``names``; see ``Cover``."""
        if _stated(row, names) and self.covers(row):
            _require_amender(actor, reason)

    def record(
        self,
        actor: Actor,
        row: Patient | Specimen,
        changes: Mapping[str, tuple[Any, Any]],
        reason: str,
    ) -> None:
        """Open the signed cases and put the correction on record; see ``Cover``."""
        stated = _stated(row, changes)
        if not stated:
            return
        # Locked: nobody signs what is being corrected.
        ids = list(_cases(row).values_list("pk", flat=True))
        cases = list(Case.objects.select_for_update().filter(pk__in=ids).order_by("pk"))
        signed = [case for case in cases if case.status in _SIGNED]
        if signed:
            _require_amender(actor, reason)
        if signed or (cases and "patient" in stated):
            correction = _correction(actor, row, {name: changes[name] for name in stated}, reason)
            for case in signed:
                _state(correction, case)


def corrections_of_patient(patient: Patient) -> QuerySet[IdentityCorrection]:
    """What was corrected in a patient's record, or brought a specimen into it; newest first."""
    return _shown().filter(Q(patient=patient) | Q(to_patient=patient))


def corrections_of_specimen(specimen: Specimen) -> QuerySet[IdentityCorrection]:
    """What was corrected of a specimen, or of what its signed case states; newest first."""
    stated = CorrectedCase.objects.filter(amendment__report__case__specimen=specimen)
    return _shown().filter(Q(specimen=specimen) | Q(pk__in=stated.values("correction")))


def corrections_in(amendment: Amendment) -> list[IdentityCorrection]:
    """What the report that ends ``amendment`` has to state, in the order in which it was made."""
    return list(_shown().filter(cases__amendment=amendment).order_by("pk"))


def _shown() -> QuerySet[IdentityCorrection]:
    return IdentityCorrection.objects.select_related("author", "specimen", "patient", "to_patient")


def _cases(row: Patient | Specimen) -> QuerySet[Case]:
    if isinstance(row, Specimen):
        return Case.objects.filter(specimen=row.pk)
    return Case.objects.filter(specimen__patient=row.pk)


def _stated(row: Patient | Specimen, names: Collection[str]) -> Sequence[str]:
    return [name for name in STATED[type(row)] if name in names]


def _require_amender(actor: Actor, reason: str) -> None:
    if not isinstance(actor, User) or not actor.has_perm(AMEND):
        raise ChangeRefusedError(
            "signed",
            _(
                "A signed case states this, so it changes by amendment alone: ask somebody who may "
                "amend cases, such as a haematologist, to correct it. Nothing is changed."
            ),
        )
    if not clean_text(reason):
        raise ChangeRefusedError(
            "reason_missing",
            _(
                "A signed case states this: give the reason for the correction. It opens the case "
                "for an amendment, and the case is then signed again."
            ),
        )


def _correction(
    actor: Actor, row: Patient | Specimen, changes: Mapping[str, tuple[Any, Any]], reason: str
) -> IdentityCorrection:
    specimen = row if isinstance(row, Specimen) else None
    from_patient, to_patient = row if specimen is None else specimen.patient, None
    if "patient" in changes:
        from_patient, to_patient = changes["patient"]
    return IdentityCorrection.objects.create(
        patient=cast(Patient, from_patient),
        to_patient=to_patient,
        specimen=specimen,
        changes=[
            {"field": name, "from": _kept(old), "to": _kept(new)}
            for name, (old, new) in changes.items()
        ],
        author=actor if isinstance(actor, User) else None,
        reason=clean_text(reason),
    )


def _state(correction: IdentityCorrection, case: Case) -> None:
    """Have the next report of ``case`` state the correction; open the case if it is closed."""
    author = cast(AbstractBaseUser, correction.author)
    if case.closed:
        amendment = amendment_open(
            actor=author, case=case, reason=correction.reason, kind=AmendmentKind.IDENTITY
        )
    else:
        amendment = Amendment.objects.get(report=latest_report(case))
    CorrectedCase.objects.create(correction=correction, amendment=amendment)
    audit_record(
        actor=author,
        action="case.identity_corrected",
        target=case,
        detail={
            "correction_id": correction.pk,
            "amendment_id": amendment.pk,
            "fields": [change["field"] for change in correction.changes],
        },
    )


def _kept(value: Any) -> Any:
    """As it is kept: text, or ISO 8601; a patient by name and record number."""
    if value is None:
        return None
    if isinstance(value, Patient):
        return {"name": value.name, "medical_record_number": value.medical_record_number}
    return value.isoformat() if isinstance(value, date) else str(value)
