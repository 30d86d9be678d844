"""Nobody gives more than they have: it takes two people to make one who signs."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpResponse
from django.test import Client

from diagnosis.roles import ADMINISTRATOR, AUDITOR, HAEMATOLOGIST, TECHNICIAN
from tests.webapp.accounts.test_accounts import DATES, GROUPS, USERS, account, of
from webapp.accounts.models import ApiToken, PasswordState
from webapp.accounts.tokens import token_make
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD, OWN = "seven-quiet-otters-42", "nine-loud-herons-17"
SIGN = "diagnosis.add_signature"


@pytest.fixture
def administrator() -> User:
    return account("keeper", ADMINISTRATOR, is_staff=True)


def again(user: User) -> User:
    """Without what is cached of rights."""
    return User.objects.get(pk=user.pk)


def new_account(client: Client, name: str, *roles: str) -> User:
    """As Django admin makes one: first name and password, then the rest."""
    form = {"username": name, "usable_password": "true"}
    made = client.post(f"{USERS}add/", {**form, "password1": PASSWORD, "password2": PASSWORD})
    assert made.status_code == 302
    user = User.objects.get(username=name)
    give(client, user, *roles)
    return user


def give(client: Client, user: User, *roles: str) -> HttpResponse:
    groups = list(Group.objects.filter(name__in=roles).values_list("pk", flat=True))
    form = {"username": user.username, "groups": groups, "is_active": "on", **DATES}
    answer = client.post(f"{USERS}{user.pk}/change/", form, follow=True)
    assert answer.status_code == 200
    return answer


def own_password(name: str) -> Client:
    """Sign in with what somebody else has set, and choose another."""
    client = Client()
    assert client.post("/login", {"username": name, "password": PASSWORD}).status_code == 302
    chosen = {"old_password": PASSWORD, "new_password1": OWN, "new_password2": OWN}
    assert client.post("/password", chosen).status_code == 302
    return client


def test_an_administrator_s_second_account_does_not_sign(administrator: User) -> None:
    second = new_account(of(administrator), "second", HAEMATOLOGIST)
    client = own_password("second")
    assert not again(second).has_perm(SIGN)
    assert not again(second).has_perm("diagnosis.add_review")
    assert again(second).has_perm("diagnosis.view_case"), "what the administrator has"
    assert "can do no more than whoever set it up" in client.get("/password").content.decode()
    assert [group.name for group in second.groups.all()] == [HAEMATOLOGIST]
    assert AuditEvent.objects.filter(action="user.limited", target_id=second.pk).exists()


def test_a_superuser_confirms_who_it_is(administrator: User, admin_client: Client) -> None:
    second = new_account(of(administrator), "second", HAEMATOLOGIST)
    assert "set up by keeper" in admin_client.get(USERS).content.decode()
    chosen = {"action": "confirm", "_selected_action": [second.pk]}
    of(administrator).post(USERS, chosen)
    assert not again(second).has_perm(SIGN), "an administrator does not"
    admin_client.post(USERS, chosen)
    assert again(second).has_perm(SIGN)
    assert "set up by keeper" not in admin_client.get(USERS).content.decode()
    assert AuditEvent.objects.filter(action="user.confirmed", target_id=second.pk).count() == 1


def test_a_password_set_by_an_administrator_does_not_sign(administrator: User) -> None:
    """Or whoever sets it would sign in somebody else's name."""
    reader = account("reader", HAEMATOLOGIST)
    form = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    page = of(administrator).post(f"{USERS}{reader.pk}/password/", form, follow=True)
    assert "Until a superuser confirms the account" in page.content.decode()
    own_password("reader")
    assert not again(reader).has_perm(SIGN)
    state = PasswordState.objects.get(user=reader)
    assert (state.set_by, state.must_change) == (administrator, False)


def test_a_password_set_by_a_superuser_signs_once_it_is_changed(admin_client: Client) -> None:
    reader = account("reader", HAEMATOLOGIST)
    form = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    admin_client.post(f"{USERS}{reader.pk}/password/", form)
    own_password("reader")
    assert again(reader).has_perm(SIGN)


def test_a_role_beyond_one_s_own_limits_an_old_account_and_ends_its_tokens(
    administrator: User, client: Client
) -> None:
    second = account("second", TECHNICIAN)
    key = token_make(second, actor=None)
    give(of(administrator), second, TECHNICIAN)
    assert ApiToken.objects.filter(user=second).exists(), "nothing was given"
    give(of(administrator), second, TECHNICIAN, HAEMATOLOGIST)
    assert not again(second).has_perm(SIGN)
    answer = client.get("/api/diagnoses", headers={"Authorization": f"Token {key}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("role", [TECHNICIAN, AUDITOR, ADMINISTRATOR])
def test_roles_that_do_not_sign_are_an_administrator_s_alone_to_give(
    administrator: User, role: str
) -> None:
    user = new_account(of(administrator), "new", role)
    wanted = set(Permission.objects.filter(group__name=role).values_list("codename", flat=True))
    found = {name.partition(".")[2] for name in again(user).get_all_permissions()}
    assert found == wanted
    assert PasswordState.objects.get(user=user).at_most is None


def test_a_group_holds_no_more_than_who_makes_it(administrator: User) -> None:
    client = of(administrator)
    everything = list(Permission.objects.values_list("pk", flat=True))
    page = client.post(f"{GROUPS}add/", {"name": "All", "permissions": everything})
    assert page.status_code == 200
    assert "is not one of the available choices" in page.content.decode()
    assert not Group.objects.filter(name="All").exists()
    mine = [Permission.objects.get(codename="view_case").pk]
    assert client.post(f"{GROUPS}add/", {"name": "Few", "permissions": mine}).status_code == 302
    (event,) = AuditEvent.objects.filter(action="group.created")
    assert _values(event)["permissions"] == {"old": None, "new": ["diagnosis.view_case"]}
    few = Group.objects.get(name="Few")
    more = [*mine, Permission.objects.get(codename="add_signature").pk]
    client.post(f"{GROUPS}{few.pk}/change/", {"name": "Few", "permissions": more})
    assert few.permissions.count() == 1


def test_a_group_that_may_do_more_is_not_changed(administrator: User) -> None:
    client, role = of(administrator), Group.objects.get(name=HAEMATOLOGIST)
    form = {"name": HAEMATOLOGIST, "permissions": []}
    assert client.post(f"{GROUPS}{role.pk}/change/", form).status_code == 403
    assert client.post(f"{GROUPS}{role.pk}/delete/", {"post": "yes"}).status_code == 403
    assert role.permissions.filter(codename="add_signature").exists()


def test_old_and_new_rights_are_on_record(admin_client: Client) -> None:
    user, group = account("new", TECHNICIAN), Group.objects.create(name="Others")
    give(admin_client, user, HAEMATOLOGIST)
    event = AuditEvent.objects.filter(action="user.updated").latest("id")
    assert _values(event)["groups"] == {"old": [TECHNICIAN], "new": [HAEMATOLOGIST]}
    permission = Permission.objects.get(codename="add_signature")
    form = {"name": "Others", "permissions": [permission.pk]}
    admin_client.post(f"{GROUPS}{group.pk}/change/", form)
    event = AuditEvent.objects.filter(action="group.updated").latest("id")
    assert _values(event)["permissions"] == {"old": [], "new": ["diagnosis.add_signature"]}
    history = admin_client.get(f"{GROUPS}{group.pk}/history/")
    assert history.status_code == 200, "Django's own pages read the same message"


def _values(event: AuditEvent) -> dict[str, dict[str, object]]:
    return next(part["values"] for part in event.detail["changes"] if "values" in part)
