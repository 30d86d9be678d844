"""Roles, as Django groups that administrators hand out.

The groups are made by a migration, their permissions are given after every migration
(``post_migrate``): on an empty database the rows of permissions come into being only then, and a
permission that a later version of the software brings is given by the same code.

Permissions that somebody added to a role stay; one of those below that was taken away comes back
with the next migration, so a site that wants a smaller role makes a group of its own.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

TECHNICIAN = "Technician"
HAEMATOLOGIST = "Haematologist"
ADMINISTRATOR = "Administrator"
AUDITOR = "Auditor"


@dataclass(frozen=True)
class Role:
    """What one group may do, and why.

    Attributes:
        why: one sentence.
        may: permissions as ``<app>.<codename>``; one that does not exist (yet) is passed over.
    """

    why: str
    may: frozenset[str]


def _permissions(app: str, codenames: str) -> frozenset[str]:
    return frozenset(f"{app}.{codename}" for codename in codenames.split())


# Nobody has a permission to change or delete a result, a review or a signature: they are kept as
# they are for ever. `change_diagnosis` covers assigning a field to a specimen and, in the
# administration, having a failed one tried again; `change_case` covers taking a case and saying
# how soon somebody is to look at it. `add_withdrawal` is for those who send fields in, and of what
# somebody has read for those who may read; `add_amendment` covers correcting whom a signed case is
# about.
_SEES_RECORDS = _permissions("patients", "view_patient view_specimen") | _permissions(
    "diagnosis", "view_diagnosis view_case view_review"
)
_SEES_WHAT_IS_SIGNED = _permissions(
    "diagnosis",
    "view_conclusion view_signature view_amendment view_report view_withdrawal "
    "view_identitycorrection view_correctedcase",
)
_REGISTERS_AND_UPLOADS = _permissions(
    "patients", "add_patient change_patient add_specimen change_specimen"
) | _permissions("diagnosis", "add_diagnosis change_diagnosis add_withdrawal")
_DELETES = _permissions("patients", "delete_patient delete_specimen")
_SEES_ACCOUNTS_AND_TRAIL = _permissions("auth", "view_user view_group") | _permissions(
    "audit", "view_auditevent"
)

ROLES = {
    TECHNICIAN: Role(
        "Registers patients and specimens and sends in their fields; judges nothing.",
        _SEES_RECORDS | _REGISTERS_AND_UPLOADS,
    ),
    HAEMATOLOGIST: Role(
        "Reads fields, concludes, signs and amends; can do a technician's work where there is "
        "none, and remove what was registered by mistake.",
        _SEES_RECORDS
        | _SEES_WHAT_IS_SIGNED
        | _REGISTERS_AND_UPLOADS
        | _DELETES
        | _permissions("diagnosis", "change_case add_review")
        | _permissions("diagnosis", "add_conclusion add_signature add_amendment"),
    ),
    ADMINISTRATOR: Role(
        "Keeps accounts, tokens and master data and has failed fields tried again; neither reads "
        "nor signs, so that nobody answers for a case with an account of their own making.",
        _SEES_RECORDS
        | _SEES_WHAT_IS_SIGNED
        | _SEES_ACCOUNTS_AND_TRAIL
        | _DELETES
        | _permissions("patients", "add_patient change_patient add_specimen change_specimen")
        | _permissions("diagnosis", "change_diagnosis")
        | _permissions("auth", "add_user change_user delete_user")
        | _permissions("auth", "add_group change_group delete_group")
        | _permissions("accounts", "add_apitoken delete_apitoken"),
    ),
    AUDITOR: Role(
        "Sees every record, account and event, and changes nothing.",
        _SEES_RECORDS | _SEES_WHAT_IS_SIGNED | _SEES_ACCOUNTS_AND_TRAIL,
    ),
}


def roles_ensure(**kwargs: Any) -> None:
    """Create the groups where they are missing, and give them what they lack.

    Runs after every migration.
    """
    using = kwargs.get("using", "default")
    for name, role in ROLES.items():
        wanted = Q()
        for permission in role.may:
            app, codename = permission.split(".")
            wanted |= Q(content_type__app_label=app, codename=codename)
        group, _ = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(*Permission.objects.using(using).filter(wanted))
