"""What keeps somebody from signing a case."""

from collections.abc import Sequence

from django.utils.translation import gettext, ngettext

from diagnosis.cases.amendments import latest_report
from diagnosis.cases.blinding import Reader, to_be_read_by
from diagnosis.cases.services import image_damaged
from diagnosis.core.state import Status
from diagnosis.models import STANDING, Case, Diagnosis
from diagnosis.storage.images import damaged_of_specimen


def signing_blockers(
    case: Case, signer: Reader, damaged: Sequence[Diagnosis] | None = None
) -> list[str]:
    """What has to be done before ``signer`` can sign ``case``, one sentence each; empty if nothing.

    Where the first read is blinded, whoever signs has read every screened field themselves.

    Args:
        damaged: what ``damaged_of_specimen`` gives, for who has asked already.
    """
    counts = case.counts
    found = []
    # An amendment may have withdrawn all there were; the report then says so.
    if not counts.total and latest_report(case) is None:
        found.append(gettext("There is no field to read yet: upload the first one."))
    if counts.waiting:
        found.append(
            ngettext(
                "%(count)d field waits for the model.",
                "%(count)d fields wait for the model.",
                counts.waiting,
            )
            % {"count": counts.waiting}
        )
    if own := Diagnosis.objects.filter(to_be_read_by(signer), specimen=case.specimen_id).count():
        found.append(
            ngettext(
                "%(count)d screened field waits for your own reading.",
                "%(count)d screened fields wait for your own reading.",
                own,
            )
            % {"count": own}
        )
    elif unread := counts.usable - case.reviewed:
        found.append(
            ngettext(
                "%(count)d screened field has not been read.",
                "%(count)d screened fields have not been read.",
                unread,
            )
            % {"count": unread}
        )
    if failed := counts.failed and _unresolved(case):
        found.append(
            ngettext(
                "%(count)d field could not be screened: have an administrator try it again, or "
                "mark it unusable.",
                "%(count)d fields could not be screened: have an administrator try them again, or "
                "mark them unusable.",
                failed,
            )
            % {"count": failed}
        )
    if damaged is None:
        damaged = damaged_of_specimen(case.specimen_id)
    found += map(image_damaged, damaged)
    return found


def _unresolved(case: Case) -> int:
    """Fields that could not be screened and that nobody has marked unusable."""
    failed = Diagnosis.objects.filter(STANDING, specimen=case.specimen_id, status=Status.FAILED)
    return failed.filter(reviews__isnull=True).count()
