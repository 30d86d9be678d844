"""``manage.py demo_user``."""

import re
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

if TYPE_CHECKING:
    from pytest_django.fixtures import SettingsWrapper

pytestmark = pytest.mark.django_db
GIVEN = "a-long-and-unusual-one"


def demo_user() -> str:
    """What the command prints."""
    out = StringIO()
    call_command("demo_user", stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _no_password_given(settings: "SettingsWrapper") -> None:
    settings.DEMO_PASSWORD = ""


def test_makes_a_haematologist_and_shows_the_password_once() -> None:
    first = re.search(r"password (\S{16});", demo_user())
    user = User.objects.get(username="demo")
    assert user.check_password(first[1])
    assert [group.name for group in user.groups.all()] == ["Haematologist"]
    assert not user.is_staff
    assert not user.is_superuser
    assert demo_user() == ""
    assert User.objects.get(username="demo").password == user.password


def test_random_passwords_differ() -> None:
    first = demo_user()
    User.objects.all().delete()
    assert demo_user() != first


def test_given_password_is_used_and_not_printed(settings: "SettingsWrapper") -> None:
    settings.DEMO_PASSWORD = GIVEN
    assert GIVEN not in demo_user()
    assert User.objects.get(username="demo").check_password(GIVEN)
    assert demo_user() == ""


def test_later_password_is_ignored_and_said_so(settings: "SettingsWrapper") -> None:
    demo_user()
    settings.DEMO_PASSWORD = GIVEN
    assert "ignored" in demo_user()
    assert not User.objects.get(username="demo").check_password(GIVEN)


@pytest.mark.parametrize("weak", ["short", "password1", "76351882919", "Demonstration"])
def test_weak_password_is_refused(settings: "SettingsWrapper", weak: str) -> None:
    settings.DEMO_PASSWORD = weak
    with pytest.raises(CommandError, match=r"DEMO_PASSWORD is too weak: Th(is|e) password"):
        demo_user()
    assert not User.objects.exists()
