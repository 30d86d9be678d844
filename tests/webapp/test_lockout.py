"""Nobody goes on guessing a password."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD = "the right one of this test"


@pytest.fixture(autouse=True)
def _accounts() -> None:
    User.objects.create_superuser("guessed", password=PASSWORD)
    User.objects.create_user("another", password=PASSWORD)


def sign_in(
    password: str, username: str = "guessed", where: str = "/login", address: str = "10.0.0.1"
) -> HttpResponse:
    form = {"username": username, "password": password}
    return Client().post(where, form, REMOTE_ADDR=address)


def guess(times: int, where: str = "/login") -> list[int]:
    """From another address each time, as a guesser may."""
    return [
        sign_in(f"guess {n}", where=where, address=f"10.0.0.{n}").status_code for n in range(times)
    ]


@pytest.mark.parametrize("where", ["/login", "/admin/login/"])
def test_the_tenth_wrong_password_closes_the_account(where: str) -> None:
    assert guess(10, where) == [200] * 9 + [429]
    refused = sign_in(PASSWORD)
    assert refused.status_code == 429
    page = refused.content.decode()
    assert "For 15 minutes after the last of them nobody can sign in or sign with it" in page
    assert "Research use only" in page
    assert sign_in(PASSWORD, where="/admin/login/").status_code == 429
    assert sign_in(PASSWORD, username="another").status_code == 302


def test_it_opens_by_itself() -> None:
    guess(10)
    sign_in("one more, which does not begin the time anew")
    passed = timezone.now() - timedelta(minutes=15, seconds=1)
    AccessAttempt.objects.update(attempt_time=passed)
    assert sign_in(PASSWORD).status_code == 302


def test_tries_while_it_is_closed_do_not_prolong_it() -> None:
    guess(10)
    before = list(AccessAttempt.objects.order_by("id").values_list("attempt_time", flat=True))
    sign_in("one more", address="10.0.0.9")
    after = list(AccessAttempt.objects.order_by("id").values_list("attempt_time", flat=True))
    assert after == before


def test_the_right_password_ends_the_count() -> None:
    guess(9)
    assert sign_in(PASSWORD).status_code == 302
    assert guess(9) == [200] * 9


def test_a_lockout_is_audited_once_and_no_password_is_kept() -> None:
    guess(12)
    (event,) = AuditEvent.objects.filter(action="user.locked_out")
    assert event.target_id == str(User.objects.get(username="guessed").pk)
    assert "guess 3" not in str(list(AccessAttempt.objects.values()))


def test_a_name_that_nobody_has_is_treated_alike() -> None:
    """Or the answer would tell which names there are."""
    answers = [sign_in("guess", username="nobody").status_code for _ in range(11)]
    assert answers == [200] * 9 + [429] * 2
    assert not AuditEvent.objects.filter(action="user.locked_out").exists()
