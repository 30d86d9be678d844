"""The guided start: what a newcomer has done of a demonstration case, read from the records.

Nothing is kept for it: that a page was opened, a field read, a case signed and its report opened
stands in the rows and in the audit trail anyway.
"""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import QuerySet

from diagnosis.models import DEMONSTRATION, Case
from patients.models import Patient
from webapp.audit.models import AuditEvent

ORDERED = "demonstration.ordered"
# Actions of the audit trail that the steps are known by.
OPENED, SIGNED, REPORT_OPENED = "specimen.viewed", "case.signed", "report.viewed"


@dataclass(frozen=True)
class Guide:
    """Where a user stands with a demonstration case.

    Attributes:
        case: the case, with specimen and patient.
        opened, read, signed, reported: the steps that are done: the case was opened by this user,
            all its usable fields were read and it was signed, by whomever, and this user has
            opened a report since.
        again: another demonstration case that is still open, for one more round.
    """

    case: Case
    opened: bool
    read: bool
    signed: bool
    reported: bool
    again: Case | None

    @property
    def finished(self) -> bool:
        """Whether every step is done."""
        return self.opened and self.read and self.signed and self.reported


def guide_of(user: User, *, specimen_id: int | None = None) -> Guide | None:
    """The guide for a user; ``None`` without a demonstration, and for who has signed a real case.

    Args:
        specimen_id: of the demonstration case that the user looks at. Without it: the case that
            the user signed last, or else the first that nobody has signed.
    """
    cases = Case.objects.filter(DEMONSTRATION).select_related("specimen__patient").order_by("id")
    known = {str(case.pk): case for case in cases}
    if not known:
        return None
    signed = list(_events(user, SIGNED).order_by("id").values_list("target_id", flat=True))
    if not known.keys() >= set(signed):
        return None
    still_open = [case for case in known.values() if not case.closed]
    if specimen_id is not None:
        chosen = next((case for case in known.values() if case.specimen_id == specimen_id), None)
    elif signed:
        chosen = known[signed[-1]]
    else:
        chosen = (still_open or list(known.values()))[0]
    if chosen is None:
        return None
    again = next((case for case in still_open if case != chosen), None)
    return _guide(user, chosen, again)


def demonstration_pending() -> bool:
    """Whether a demonstration was ordered from the worker and is not there yet."""
    ordered = AuditEvent.objects.filter(action=ORDERED).exists()
    return ordered and not Patient.objects.filter(is_demonstration=True).exists()


def _guide(user: User, case: Case, again: Case | None) -> Guide:
    opened = _events(user, OPENED).filter(
        target_type="patients.specimen", target_id=str(case.specimen_id)
    )
    usable = case.counts.usable
    since = (
        AuditEvent.objects.filter(
            action=SIGNED, target_type="diagnosis.case", target_id=str(case.pk)
        )
        .values_list("id", flat=True)
        .first()
    )
    return Guide(
        case=case,
        opened=opened.exists(),
        read=not case.waiting and 0 < usable <= case.reviewed,
        signed=bool(case.closed),
        reported=since is not None and _events(user, REPORT_OPENED).filter(id__gt=since).exists(),
        again=again,
    )


def _events(user: User, action: str) -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(actor=user, action=action)
