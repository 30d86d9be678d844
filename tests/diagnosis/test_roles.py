"""The groups, their permissions, and what becomes of the one that there was before."""

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from diagnosis.roles import HAEMATOLOGIST, ROLES, TECHNICIAN, roles_ensure

pytestmark = pytest.mark.django_db
migration = import_module("diagnosis.migrations.0006_roles")
# Of models that come with signing.
LATER = {
    f"diagnosis.{action}_{model}"
    for action in ("add", "view")
    for model in ("conclusion", "signature", "amendment", "report")
}


def permissions(group: str) -> set[str]:
    given = Permission.objects.filter(group__name=group).select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in given}


@pytest.mark.parametrize("name", ROLES)
def test_a_migrated_database_has_the_roles_with_what_the_table_says(name: str) -> None:
    missing = ROLES[name].may - permissions(name)
    assert missing <= LATER - {f"diagnosis.{codename}" for codename in there()}
    assert permissions(name) <= ROLES[name].may


def there() -> set[str]:
    return set(Permission.objects.values_list("codename", flat=True))


def test_a_permission_that_is_added_stays_and_one_that_lacks_comes_back() -> None:
    group = Group.objects.get(name=TECHNICIAN)
    group.permissions.add(Permission.objects.get(codename="add_review"))
    group.permissions.remove(Permission.objects.get(codename="add_diagnosis"))
    roles_ensure()
    assert permissions(TECHNICIAN) >= {"diagnosis.add_review", "diagnosis.add_diagnosis"}


def test_a_role_that_is_lost_is_made_anew_by_the_next_migration() -> None:
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    assert "diagnosis.add_review" in permissions(HAEMATOLOGIST)


@pytest.mark.parametrize("both", [False, True])
def test_clinicians_become_haematologists_with_their_extra_permissions(both: bool) -> None:
    if not both:
        Group.objects.get(name=HAEMATOLOGIST).delete()
    clinicians = Group.objects.create(name="Clinician")
    extra = Permission.objects.get(codename="add_session")
    clinicians.permissions.add(extra)
    user = User.objects.create_user("reader")
    user.groups.add(clinicians)
    migration.make_groups(apps, None)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    assert [group.name for group in user.groups.all()] == [HAEMATOLOGIST]
    assert "sessions.add_session" in permissions(HAEMATOLOGIST)


def test_the_migration_goes_back_and_forth() -> None:
    user = User.objects.create_user("reader")
    user.groups.add(Group.objects.get(name=HAEMATOLOGIST))
    migration.back_to_one_group(apps, None)
    assert [group.name for group in user.groups.all()] == ["Clinician"]
    migration.make_groups(apps, None)
    assert [group.name for group in user.groups.all()] == [HAEMATOLOGIST]


def test_the_migration_names_the_roles_of_the_table() -> None:
    assert set(migration.NAMES) == set(ROLES)
