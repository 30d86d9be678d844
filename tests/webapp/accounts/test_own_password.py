"""A password is a signature: its owner chooses it, and nobody else's is good for anything."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from diagnosis.roles import HAEMATOLOGIST, TECHNICIAN
from tests.webapp.accounts.test_accounts import USERS, account, of
from webapp.accounts.models import PasswordState
from webapp.accounts.tokens import token_make
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
SET, OWN = "seven-quiet-otters-42", "nine-loud-herons-17"
CHANGE = {"old_password": SET, "new_password1": OWN, "new_password2": OWN}


@pytest.fixture(params=[TECHNICIAN, HAEMATOLOGIST])
def user(request: pytest.FixtureRequest) -> User:
    made = account("somebody", request.param)
    made.set_password(SET)
    made.save()
    return made


def signed_in(password: str) -> Client:
    client = Client()
    answer = client.post("/login", {"username": "somebody", "password": password})
    assert answer.status_code == 302
    return client


def set_by_another(client: Client, user: User) -> None:
    form = {"usable_password": "true", "password1": SET, "password2": SET}
    assert client.post(f"{USERS}{user.pk}/password/", form).status_code == 302


def test_everybody_changes_their_own_and_stays_signed_in(user: User) -> None:
    here, elsewhere = signed_in(SET), signed_in(SET)
    assert 'href="/password"' in here.get("/patients/").content.decode()
    answer = here.post("/password", CHANGE, follow=True)
    assert "Your password is changed." in answer.content.decode()
    assert here.get("/patients/").status_code == 200
    assert elsewhere.get("/patients/").status_code == 302, "other sessions end"
    signed_in(OWN)
    event = AuditEvent.objects.get(action="user.password_changed", actor=user)
    assert event.target_id == str(user.pk)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"old_password": "wrong"}, "Your old password was entered incorrectly"),
        ({"new_password2": "other"}, "The two password fields didn’t match"),
        ({"new_password1": SET, "new_password2": SET}, "This is the password that you have."),
        ({"new_password1": "leukemia1", "new_password2": "leukemia1"}, "a word of your field"),
        ({"new_password1": "kurz-7", "new_password2": "kurz-7"}, "at least 12 characters"),
    ],
)
def test_what_is_wrong_is_said(user: User, form: dict[str, str], sentence: str) -> None:
    client = signed_in(SET)
    page = client.post("/password", {**CHANGE, **form}).content.decode()
    assert sentence in page
    assert "Your password is not changed." in page
    assert User.objects.get(pk=user.pk).check_password(SET)


def test_the_page_is_in_german(user: User) -> None:
    page = signed_in(SET).get("/password", headers={"Accept-Language": "de"})
    assert page["Content-Language"] == "de"
    assert "old_password" in page.content.decode()


def test_one_that_an_administrator_set_is_good_for_choosing_another_alone(
    user: User, admin_client: Client
) -> None:
    set_by_another(admin_client, user)
    client = signed_in(SET)
    for address in ("/", "/patients/", "/specimens/H26-1/sign", "/admin/", "/dashboard"):
        answer = client.get(address)
        assert (answer.status_code, answer["Location"]) == (302, "/password"), address
    assert client.post("/diagnoses/unassigned", {}).headers["Location"] == "/password"
    refused = client.get("/api/diagnoses")
    assert refused.status_code == 403
    assert refused.json()["code"] == "password_change_required"
    assert "Your password was set by somebody else." in client.get("/password").content.decode()
    assert client.post("/password", CHANGE).status_code == 302
    assert client.get("/patients/").status_code == 200
    assert client.get("/api/diagnoses").status_code == 200


def test_nor_is_a_token_good_for_anything_meanwhile(user: User, admin_client: Client) -> None:
    set_by_another(admin_client, user)
    headers = {"Authorization": f"Token {token_make(user, actor=None)}"}
    refused = Client().get("/api/diagnoses", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "password_change_required")


def test_signing_out_and_the_language_stay_possible(user: User, admin_client: Client) -> None:
    set_by_another(admin_client, user)
    client = signed_in(SET)
    assert client.post("/language", {"language": "de", "next": "/password"}).status_code == 302
    assert client.post("/logout").headers["Location"] == "/login"


def test_a_new_account_chooses_one_too(admin_client: Client) -> None:
    form = {"username": "somebody", "usable_password": "true", "password1": SET, "password2": SET}
    assert admin_client.post(f"{USERS}add/", form).status_code == 302
    assert signed_in(SET).get("/patients/").headers["Location"] == "/password"


def test_demo_and_the_command_line_ask_for_nothing(settings: Settings, user: User) -> None:
    settings.DEMO_PASSWORD = SET
    call_command("demo_user")
    PasswordState.objects.create(user=user, must_change=True)
    user.set_password(OWN)
    user.save()
    assert signed_in(OWN).get("/patients/").status_code == 200
    client = Client()
    client.post("/login", {"username": "demo", "password": SET})
    assert client.get("/").status_code == 200


def test_an_administrator_s_own_is_changed_where_the_old_one_is_asked_for(
    admin_client: Client, admin_user: User
) -> None:
    own = f"{USERS}{admin_user.pk}/password/"
    form = {"usable_password": "true", "password1": OWN, "password2": OWN}
    assert admin_client.post(own, form).headers["Location"] == "/admin/password_change/"
    wrong = admin_client.post("/admin/password_change/", CHANGE)
    assert "entered incorrectly" in wrong.content.decode()
    change = {**CHANGE, "old_password": "password"}
    done = admin_client.post("/admin/password_change/", change, follow=True)
    assert "Your password was changed" in done.content.decode()
    assert User.objects.get(pk=admin_user.pk).check_password(OWN)
    assert admin_client.get("/admin/").status_code == 200


def test_a_superuser_s_may_be_changed_by_another_and_is_then_theirs_again() -> None:
    one, other = (User.objects.create_superuser(name) for name in ("one", "other"))
    set_by_another(of(one), other)
    client = Client()
    client.post("/login", {"username": "other", "password": SET})
    assert client.get("/admin/").headers["Location"] == "/password"
    client.post("/password", CHANGE)
    assert client.get("/admin/").status_code == 200
