"""Roles, as Django groups that administrators hand out."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

CLINICIAN = "Clinician"

# Diagnoses are never changed or deleted by a clinician: results are read-only for ever.
# `change_diagnosis` covers assigning an unassigned field to a specimen, `change_case` taking a case
# and saying how soon somebody is to look at it.
_CLINICIAN_MAY = {
    "patients": (
        "add_patient",
        "change_patient",
        "delete_patient",
        "view_patient",
        "add_specimen",
        "change_specimen",
        "delete_specimen",
        "view_specimen",
    ),
    "diagnosis": (
        "add_diagnosis",
        "change_diagnosis",
        "view_diagnosis",
        "add_review",
        "view_review",
        "change_case",
        "view_case",
        "view_report",
    ),
}


def roles_ensure(**kwargs: Any) -> None:
    """Create the groups with their permissions where they are missing.

    Runs after every migration; permissions an administrator added stay.
    """
    using = kwargs.get("using", "default")
    wanted = Q()
    for app, codenames in _CLINICIAN_MAY.items():
        wanted |= Q(content_type__app_label=app, codename__in=codenames)
    group, _ = Group.objects.using(using).get_or_create(name=CLINICIAN)
    group.permissions.add(*Permission.objects.using(using).filter(wanted))
