"""What a correction of patient or specimen changed, in words."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from patients.models import Objective, Sex, Site, Stain
from webapp.text.typed import isolated

_LABELS: dict[str, Promise] = {
    "patient": _("Patient"),
    "medical_record_number": _("Medical record number"),
    "name": _("Name"),
    "date_of_birth": _("Date of birth"),
    "sex": _("Sex"),
    "accession_number": _("Accession number"),
    "site": _("Site"),
    "stain": _("Stain"),
    "objective": _("Objective"),
    "collected_at": _("Collected"),
    "received_at": _("Received"),
}
_CHOICES: dict[str, Any] = {"sex": Sex, "site": Site, "stain": Stain, "objective": Objective}
_TIMES = ("collected_at", "received_at")


@dataclass(frozen=True)
class Changed:
    """One corrected value, as printed in the language that is active."""

    label: str
    before: str
    after: str


def changed(changes: Iterable[Mapping[str, Any]], moment: Callable[[str], str]) -> list[Changed]:
    """The changes of an ``IdentityCorrection``.

    Args:
        moment: prints a time given in ISO 8601.
    """

    def printed(field: str, value: Any) -> str:
        if value is None:
            return gettext("not stated")
        if field == "patient":
            return f"{isolated(value['name'])} ({isolated(value['medical_record_number'])})"
        if field in _CHOICES:
            return str(dict(_CHOICES[field].choices).get(value, value))
        if field in _TIMES:
            return moment(value)
        if field == "date_of_birth":
            return date_format(date.fromisoformat(value), "j M Y")
        return isolated(value)

    return [
        Changed(
            label=str(_LABELS.get(field, field)),
            before=printed(field, change["from"]),
            after=printed(field, change["to"]),
        )
        for change in changes
        for field in (change["field"],)
    ]
