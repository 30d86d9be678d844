"""What the values of the rows are called, in the language of whoever looks."""

from collections.abc import Iterable
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

_LABELS: dict[str, Promise] = {
    # One field: its status, what the software says of it, what a person says.
    "received": pgettext_lazy("status of a field", "Received"),
    "screened": pgettext_lazy("status of a field", "Screened"),
    "refused": pgettext_lazy("status of a field", "Refused"),
    "failed": _("Failed"),
    "rejected": _("Rejected"),
    "indeterminate": _("Indeterminate"),
    "suspicious": _("Suspicious"),
    "not_suspicious": _("Not suspicious"),
    "agree": pgettext_lazy("a person's verdict", "Agree"),
    "override": pgettext_lazy("a person's verdict", "Override"),
    "unusable": pgettext_lazy("a person's verdict", "Unusable"),
    "review": pgettext_lazy("meaning of a signature", "Review"),
    "approval": pgettext_lazy("meaning of a signature", "Approval"),
    "content": pgettext_lazy("kind of an amendment", "Content"),
    "identity": pgettext_lazy("kind of an amendment", "Identity"),
    # A case: its status, what the software says of it, by which rule.
    "new": pgettext_lazy("status of a case", "New"),
    "in_review": pgettext_lazy("status of a case", "In review"),
    "signed": pgettext_lazy("status of a case", "Signed"),
    "amended": pgettext_lazy("status of a case", "Amended"),
    "waiting": _("Waiting"),
    # What a page says in place of an outcome.
    "withdrawn": _("Withdrawn"),
    "unread": _("Not read yet"),
    "suspicious_field": _("Suspicious field"),
    "fields_wait": _("Fields wait"),
    "too_few_fields": _("Too few fields"),
    "indeterminate_field": _("Indeterminate field"),
    "all_not_suspicious": _("All not suspicious"),
}


def choices(values: Iterable[StrEnum]) -> list[tuple[str, Promise]]:
    """The choices of a database column that holds one of ``values``.

    Raises:
        KeyError: one of them has no label here.
    """
    return [(value.value, name_of(value)) for value in values]


def name_of(value: str) -> Promise:
    """What one of them is called.

    Raises:
        KeyError: it has no label here.
    """
    return _LABELS[value]
