"""Guessing a password takes ever longer, and keeps nobody else from their work."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from webapp.accounts.models import WrongPasswords
from webapp.accounts.passwords.attempts import ONE_ADDRESS, ONE_NAME, ONE_PLACE
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD = "the right one of this test"
STRANGER = "198.51.100.7"


@pytest.fixture(autouse=True)
def _accounts() -> None:
    User.objects.create_superuser("guessed", password=PASSWORD)
    User.objects.create_user("another", password=PASSWORD)


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time stands still but for what this is told to let pass, in seconds."""
    now = [timezone.now()]

    def pass_by(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    def at() -> datetime:
        return now[0]

    monkeypatch.setattr("webapp.accounts.passwords.attempts.timezone.now", at)
    return pass_by


def sign_in(
    password: str,
    username: str = "guessed",
    where: str = "/login",
    address: str = "10.0.0.1",
    client: Client | None = None,
    **more: str,
) -> HttpResponse:
    form = {"username": username, "password": password}
    return (client or Client()).post(where, form, REMOTE_ADDR=address, **more)


def guess(times: int, where: str = "/login", address: str = STRANGER) -> list[int]:
    return [sign_in(f"guess {n}", where=where, address=address).status_code for n in range(times)]


@pytest.mark.parametrize("where", ["/login", "/admin/login/"])
def test_after_some_wrong_passwords_there_is_a_pause(where: str) -> None:
    assert guess(10, where) == [200] * 5 + [429] * 5
    refused = sign_in(PASSWORD, address=STRANGER)
    assert refused.status_code == 429
    assert refused["Retry-After"] == "5"
    page = refused.content.decode()
    assert "Wait 5 seconds, then try again" in page
    assert "Research use only" in page
    assert sign_in(PASSWORD, where="/admin/login/", address=STRANGER).status_code == 429


def test_a_pause_names_where_to_go_on() -> None:
    guess(5)
    page = sign_in("x", where="/login?next=/patients/", address=STRANGER).content.decode()
    assert 'href="/login?next=/patients/"' in page


def test_the_user_of_that_name_signs_in_elsewhere_meanwhile() -> None:
    guess(20)
    assert sign_in(PASSWORD, address="10.0.0.2").status_code == 302


def test_another_user_signs_in_at_the_same_address() -> None:
    guess(10)
    assert sign_in(PASSWORD, username="another", address=STRANGER).status_code == 302


def test_pauses_grow_and_pass(later: Callable[[float], None]) -> None:
    guess(5)
    waits = []
    for _ in range(16):
        refused = sign_in("x", address=STRANGER)
        waits.append(int(refused["Retry-After"]))
        later(waits[-1])
        assert sign_in("x", address=STRANGER).status_code == 200, "the pause has passed"
    assert waits[:6] == [5, 10, 20, 40, 80, 160]
    assert waits == sorted(waits)
    assert waits[-1] == ONE_PLACE.longest_s
    later(900)
    assert sign_in(PASSWORD, address=STRANGER).status_code == 302


def test_tries_in_a_pause_do_not_prolong_it(later: Callable[[float], None]) -> None:
    guess(5)
    before = list(WrongPasswords.objects.order_by("id").values())
    later(3)
    assert guess(30) == [429] * 30
    assert list(WrongPasswords.objects.order_by("id").values()) == before


def test_the_right_password_ends_the_count() -> None:
    assert guess(4) == [200] * 4
    assert sign_in(PASSWORD, address=STRANGER).status_code == 302
    assert guess(4) == [200] * 4


def test_what_is_long_past_is_forgotten(later: Callable[[float], None]) -> None:
    guess(4)
    later(25 * 60 * 60)
    assert guess(5) == [200] * 5
    assert WrongPasswords.objects.count() == 3


def test_guesses_from_many_addresses_have_short_pauses(later: Callable[[float], None]) -> None:
    answers = [sign_in("x", address=f"10.1.{n}.1").status_code for n in range(40)]
    assert answers == [200] * ONE_NAME.patience + [429] * 10
    later(ONE_NAME.longest_s)
    assert sign_in(PASSWORD, address="10.0.0.2").status_code == 302


def test_one_password_tried_on_many_names_has_pauses() -> None:
    names = [f"somebody{n}" for n in range(60)]
    answers = [sign_in("x", username=name, address=STRANGER).status_code for name in names]
    assert answers == [200] * ONE_ADDRESS.patience + [429] * (60 - ONE_ADDRESS.patience)


def test_an_account_of_one_s_own_washes_no_guesses_away() -> None:
    answers = []
    for n in range(30):
        answers.append(sign_in("x", username=f"n{n}", address=STRANGER).status_code)
        sign_in(PASSWORD, username="another", address=STRANGER)
    assert answers.count(200) == ONE_ADDRESS.patience


def test_a_known_browser_is_not_slowed_down_by_strangers() -> None:
    """At the same address: behind a hospital's gateway all are one."""
    mine = Client()
    assert sign_in(PASSWORD, address=STRANGER, client=mine).status_code == 302
    mine.post("/logout")
    for n in range(60):
        sign_in("x", username=f"n{n}" if n % 2 else "guessed", address=STRANGER)
    assert sign_in(PASSWORD, address=STRANGER).status_code == 429
    assert sign_in(PASSWORD, address=STRANGER, client=mine).status_code == 302


def test_a_known_browser_is_known_to_its_user_alone_and_guesses_no_better() -> None:
    mine = Client()
    sign_in(PASSWORD, username="another", client=mine)
    mine.post("/logout")
    answers = [sign_in("x", client=mine).status_code for _ in range(6)]
    own = [sign_in("x", username="another", client=mine).status_code for _ in range(6)]
    assert answers == own == [200] * ONE_PLACE.patience + [429]
    mine.cookies["known_browser"] = mine.cookies["known_browser"].value[:-3] + "abc"
    assert sign_in("x", username="another", client=mine).status_code == 200, "forged: a stranger"


@pytest.mark.parametrize("behind", [True, False])
def test_an_address_is_what_the_proxy_says_and_never_what_the_client_says(
    settings: Settings, behind: bool
) -> None:
    """The proxy writes the last one; without it the header is the client's own."""
    settings.BEHIND_PROXY = behind
    forged = [f"10.2.0.{n}, {STRANGER}" if behind else f"10.2.0.{n}" for n in range(6)]
    answers = [sign_in("x", HTTP_X_FORWARDED_FOR=told).status_code for told in forged]
    assert answers == [200] * 5 + [429]
    elsewhere = sign_in("x", HTTP_X_FORWARDED_FOR="203.0.113.9").status_code
    assert elsewhere == (200 if behind else 429)


def test_an_ipv6_network_is_one_address() -> None:
    answers = [sign_in("x", address=f"2001:db8::{n:x}").status_code for n in range(6)]
    assert answers == [200] * 5 + [429]
    assert sign_in("x", address="2001:db8:0:1::1").status_code == 200


def test_the_first_pause_is_audited_once_and_nothing_typed_is_kept() -> None:
    guess(12)
    (event,) = AuditEvent.objects.filter(action="user.locked_out")
    assert event.target_id == str(User.objects.get(username="guessed").pk)
    kept = str(list(WrongPasswords.objects.values()))
    assert "guess" not in kept
    assert STRANGER not in kept


def test_a_name_that_nobody_has_is_treated_alike() -> None:
    """Or the answer would tell which names there are."""
    names = ("nobody", "Nobody", "ｎobody")
    answers = [sign_in("x", username=names[n % 3]).status_code for n in range(7)]
    assert answers == [200] * 5 + [429] * 2
    assert not AuditEvent.objects.filter(action="user.locked_out").exists()


def test_a_session_at_work_goes_on(client: Client) -> None:
    assert sign_in(PASSWORD, client=client).status_code == 302
    guess(30)
    sign_in("x", address="10.0.0.1")
    assert client.get("/patients/").status_code == 200
