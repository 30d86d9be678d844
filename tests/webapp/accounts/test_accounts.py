"""Accounts in Django admin: audited, and no way to rights of one's own making."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from django.test import Client

from diagnosis.roles import ADMINISTRATOR, AUDITOR, HAEMATOLOGIST
from webapp.accounts.models import ApiToken
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
USERS, GROUPS = "/admin/auth/user/", "/admin/auth/group/"
DATES = {"date_joined_0": "2026-01-05", "date_joined_1": "08:00:00"}


def account(name: str, *groups: str, **fields: bool) -> User:
    user = User.objects.create_user(name, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def administrator() -> User:
    return account("keeper", ADMINISTRATOR, is_staff=True)


def _events(actor: User) -> "QuerySet[AuditEvent]":
    return AuditEvent.objects.filter(actor=actor).exclude(
        action__in=["user.signed_in", "user.listed", "user.viewed"]
    )


def actions(actor: User) -> list[str]:
    """Newest first."""
    return [event.action for event in _events(actor)]


def test_an_administrator_hands_out_roles_on_record(administrator: User) -> None:
    user, role = account("new"), Group.objects.get(name=HAEMATOLOGIST)
    form = {"username": "new", "groups": [role.pk], "is_active": "on", **DATES}
    assert of(administrator).post(f"{USERS}{user.pk}/change/", form).status_code == 302
    assert list(user.groups.all()) == [role]
    (event,) = AuditEvent.objects.filter(action="user.updated")
    assert (event.actor, event.target_id) == (administrator, str(user.pk))
    assert {"values": {"groups": {"old": [], "new": [HAEMATOLOGIST]}}} in event.detail["changes"]


def test_an_administrator_makes_neither_a_superuser_nor_single_permissions(
    administrator: User,
) -> None:
    user = account("new")
    sign = Permission.objects.get(codename="add_review")
    form = {"username": "new", "is_superuser": "on", "user_permissions": [sign.pk], **DATES}
    assert of(administrator).post(f"{USERS}{user.pk}/change/", form).status_code == 302
    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.user_permissions.exists()


def test_an_administrator_gives_himself_no_role(administrator: User) -> None:
    both = Group.objects.filter(name__in=(ADMINISTRATOR, HAEMATOLOGIST))
    form = {"username": "keeper", "first_name": "K", "is_active": "on", **DATES}
    form["groups"] = [group.pk for group in both]
    assert of(administrator).post(f"{USERS}{administrator.pk}/change/", form).status_code == 302
    administrator.refresh_from_db()
    assert administrator.first_name == "K"
    assert administrator.is_staff
    assert [group.name for group in administrator.groups.all()] == [ADMINISTRATOR]


def test_an_administrator_changes_no_group_of_his_own_and_no_superuser(
    administrator: User, admin_user: User
) -> None:
    client, own = of(administrator), administrator.groups.get()
    before = own.permissions.count()
    form = {"name": ADMINISTRATOR, "permissions": [Permission.objects.first().pk]}
    assert client.post(f"{GROUPS}{own.pk}/change/", form).status_code == 403
    assert own.permissions.count() == before
    assert client.post(f"{GROUPS}{own.pk}/delete/", {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "post": "yes", "_selected_action": [own.pk]}
    client.post(GROUPS, chosen)
    assert Group.objects.filter(pk=own.pk).exists()
    for page in ("change/", "password/", "delete/"):
        assert client.post(f"{USERS}{admin_user.pk}/{page}", {"post": "yes"}).status_code == 403
    other = Group.objects.get(name=AUDITOR)
    assert client.get(f"{GROUPS}{other.pk}/change/").status_code == 200


def test_a_superuser_may_all_of_it(admin_client: Client, admin_user: User) -> None:
    user = account("new")
    form = {"username": "new", "is_superuser": "on", "is_staff": "on", "is_active": "on", **DATES}
    assert admin_client.post(f"{USERS}{user.pk}/change/", form).status_code == 302
    user.refresh_from_db()
    assert user.is_superuser
    assert admin_client.post(f"{USERS}{user.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=user.pk).exists()
    assert actions(admin_user) == ["user.deleted", "user.updated"]


def test_an_auditor_sees_accounts_and_is_offered_nothing() -> None:
    client, user = of(account("auditor", AUDITOR, is_staff=True)), account("machine")
    page = client.get(USERS).content.decode()
    assert "machine" in page
    assert 'name="action"' not in page
    assert 'name="_save"' not in client.get(f"{USERS}{user.pk}/change/").content.decode()
    client.post(USERS, {"action": "token_renew", "_selected_action": [user.pk]})
    assert not ApiToken.objects.exists()


def test_a_superuser_made_on_record(administrator: User, admin_client: Client) -> None:
    user = account("new")
    form = {"username": "new", "is_superuser": "on", "is_active": "on", **DATES}
    admin_client.post(f"{USERS}{user.pk}/change/", form)
    (event,) = AuditEvent.objects.filter(action="user.updated")
    assert {"values": {"is_superuser": {"old": False, "new": True}}} in event.detail["changes"]
