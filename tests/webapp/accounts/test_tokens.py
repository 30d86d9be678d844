"""API tokens: kept as digests, many to a user, ended with the password."""

import hashlib
import io
import re

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from diagnosis.roles import ADMINISTRATOR, HAEMATOLOGIST, TECHNICIAN
from tests.webapp.accounts.test_accounts import DATES, USERS, account, of
from webapp.accounts.models import ApiToken
from webapp.accounts.tokens import token_make
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD, OTHER = "seven-quiet-otters-42", "nine-loud-herons-17"


def answers(key: str) -> int:
    return Client().get("/api/diagnoses", headers={"Authorization": f"Token {key}"}).status_code


def api_token(*arguments: str) -> str:
    out = io.StringIO()
    call_command("api_token", *arguments, stdout=out)
    return out.getvalue().splitlines()[-1]


@pytest.fixture
def machine() -> User:
    user = account("machine", TECHNICIAN)
    user.set_password(PASSWORD)
    user.save()
    return user


def test_the_command_s_last_line_works_each_time_and_before(machine: User) -> None:
    first, second = api_token("machine"), api_token("machine")
    assert (answers(first), answers(second)) == (200, 200)
    renewed = api_token("machine", "--renew")
    assert (answers(first), answers(second), answers(renewed)) == (401, 401, 200)
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        api_token("nobody")


def test_the_database_holds_no_key(machine: User) -> None:
    key = api_token("machine")
    assert len(key) == 64
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert key not in str(cursor.fetchall())


def test_a_wrong_key_and_a_digest_are_refused(machine: User) -> None:
    key = api_token("machine")
    assert answers(hashlib.sha256(key.encode()).hexdigest()) == 401
    assert answers(key[:-1]) == 401


@pytest.mark.parametrize(
    "way", ["own", "admin's own", "admin", "set_password", "hash", "hash alone", "disabled"]
)
def test_tokens_end_with_the_password(machine: User, admin_client: Client, way: str) -> None:
    key = api_token("machine")
    chosen = {"old_password": PASSWORD, "new_password1": OTHER, "new_password2": OTHER}
    if way == "own":
        of(machine).post("/password", chosen)
    elif way == "admin's own":
        User.objects.update(is_staff=True)
        of(machine).post("/admin/password_change/", chosen)
    elif way in ("admin", "disabled"):
        form = {"usable_password": "true", "password1": OTHER, "password2": OTHER}
        if way == "disabled":
            form = {"usable_password": "false", "unset-password": "1"}
        admin_client.post(f"{USERS}{machine.pk}/password/", form)
    elif way == "set_password":
        machine.set_password(OTHER)
        machine.save()
    else:
        machine.password = make_password(OTHER)
        machine.save(update_fields=["password"] if way == "hash alone" else None)
    machine.refresh_from_db()
    assert machine.check_password(OTHER) or way == "disabled"
    assert not ApiToken.objects.filter(user=machine).exists()
    assert answers(key) == 401


def test_changepassword_ends_tokens(machine: User, monkeypatch: pytest.MonkeyPatch) -> None:
    key = api_token("machine")
    monkeypatch.setattr("getpass.getpass", lambda prompt="": OTHER)
    call_command("changepassword", "machine", stdout=io.StringIO())
    machine.refresh_from_db()
    assert machine.check_password(OTHER)
    assert answers(key) == 401


def test_a_password_kept_in_a_newer_form_ends_nothing(machine: User, settings: Settings) -> None:
    """As Django does at sign-in after an upgrade."""
    key = api_token("machine")
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    form = {"username": "machine", "password": PASSWORD}
    assert Client().post("/login", form).status_code == 302
    machine.refresh_from_db()
    assert machine.password.startswith("scrypt")
    assert answers(key) == 200


def test_tokens_end_with_the_account(machine: User, admin_client: Client) -> None:
    key = api_token("machine")
    admin_client.post(f"{USERS}{machine.pk}/change/", {"username": "machine", **DATES})
    machine.refresh_from_db()
    assert not machine.is_active
    User.objects.filter(pk=machine.pk).update(is_active=True)
    assert answers(key) == 401


def test_administrators_make_tokens_for_those_who_can_do_no_more(machine: User) -> None:
    keeper = account("keeper", ADMINISTRATOR, is_staff=True)
    reader = account("reader", HAEMATOLOGIST)
    root = User.objects.create_superuser("root")
    old = {user: token_make(user, actor=None) for user in (machine, reader, root)}
    client, chosen = of(keeper), {"_selected_action": [user.pk for user in old]}
    answer = client.post(USERS, {"action": "token_renew", **chosen})
    made = re.findall(r"<code>(\w{64})</code>", answer.content.decode())
    assert answer.status_code == 200, "the answer itself, nothing that a cookie carries on"
    assert "no-store" in answer["Cache-Control"]
    assert not any(key in str(client.cookies) for key in made)
    assert [answers(key) for key in made] == [200]
    assert [answers(old[user]) for user in (machine, reader, root)] == [401, 200, 200]
    for address in (USERS, f"{USERS}{machine.pk}/change/", "/admin/"):
        page = client.get(address).content.decode()
        assert not any(key in page for key in (*made, *old.values()))
    refusal = "Reader may do more than you, so you cannot have a token of theirs."
    assert refusal in answer.content.decode()
    assert not AuditEvent.objects.filter(detail__icontains=made[0]).exists()


def test_administrators_take_tokens_away(machine: User) -> None:
    keeper = account("keeper", ADMINISTRATOR, is_staff=True)
    reader = account("reader", HAEMATOLOGIST)
    keys = [token_make(user, actor=None) for user in (machine, reader)]
    chosen = {"_selected_action": [machine.pk, reader.pk]}
    of(keeper).post(USERS, {"action": "token_remove", **chosen})
    assert [answers(key) for key in keys] == [401, 401]
    removed = AuditEvent.objects.filter(action="user.token_removed", actor=keeper)
    assert removed.count() == 2
