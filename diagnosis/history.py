"""What of a diagnosis and its reviews the database itself keeps as it was."""

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS

from diagnosis.models import RESULT_FIELDS, Diagnosis
from diagnosis.state import Status
from webapp.audit.triggers import Frozen, triggers_make, triggers_missing

# A result is for ever: not even the status moves on from these two.
RESULTS = Frozen(
    model=Diagnosis,
    column="status",
    values=(Status.SCREENED.value, Status.REFUSED.value),
    columns=tuple(sorted(RESULT_FIELDS)),
)


def history_protect(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the triggers anew."""
    triggers_make(apps.get_app_config("diagnosis"), using, [RESULTS])


def history_unprotected(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Names of triggers that are missing, of this app and of the audit trail."""
    return [
        *triggers_missing(apps.get_app_config("diagnosis"), using, [RESULTS]),
        *triggers_missing(apps.get_app_config("audit"), using),
    ]
