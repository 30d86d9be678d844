"""What whoever knows the place would try first is no password."""

import io

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from pytest_django import Settings

from webapp.audit.models import AuditEvent

WEAK = [
    "leukemia1",
    "hospital1",
    "leukemia2026!",
    "Leukaemia-2026-1",
    "L3uk3m1@-2026!!",
    "hospital.hospital.1",
    "b100d-sm34r-99",
    "Haematology2026!",
    "hämatologie-2026",
    "Haematologie_123",
    "Leukämie1234!!",
    "blutausstrich77",
    "Krankenhaus-2026",
    "labor-labor-123",
    "laboratory#0001",
    "pathology!!!!12",
    "passw0rd-123456",
    "P@ssw0rd2026!!",
    "leukemiadetection1",
    "leukemia-detection-1",
    "qwertyuiop12",
    "sunshine2026!!",
    "123456789012345",
    "aaaaaaaaaaaaa",
    "h-o-s-p-i-t-a-l-1",
    "knochenmark12345",
    "willkommen2026!",
    "Mikroskop.2026.1",
]
GOOD = [
    "correct-horse-battery-9",
    "seven-quiet-otters-42",
    "a-long-and-unusual-one",
    "a-password-for-this-test",
    "blood-orange-trumpet-7",
    "Zwölf-Boxkämpfer-jagen",
    "Xk7#pQ9!vRt2mW",
    "9f8e7d6c5b4a3f2e1d0c",
]


@pytest.mark.parametrize("weak", WEAK)
def test_words_of_the_field_dressed_up_are_refused(weak: str) -> None:
    with pytest.raises(ValidationError):
        validate_password(weak)


@pytest.mark.parametrize("weak", ["leukemia1", "hospital1", "Leukaemia-2026-1"])
def test_it_is_the_word_that_is_refused(weak: str) -> None:
    with pytest.raises(ValidationError) as error:
        validate_password(weak)
    assert "password_of_the_field" in {part.code for part in error.value.error_list}


@pytest.mark.parametrize("good", GOOD)
def test_phrases_are_taken(good: str) -> None:
    validate_password(good)


@pytest.mark.parametrize(
    "weak", ["lakeview-2026-1", "Smears.Lakeview.1", "annabellalund1!", "dr.lund-2026-09"]
)
def test_so_are_words_of_the_laboratory_the_site_and_the_user(
    settings: Settings, weak: str
) -> None:
    settings.LABORATORY = "Haematology laboratory, Lakeview Hospital"
    settings.ALLOWED_HOSTS = ["smears.lakeview.example"]
    with pytest.raises(ValidationError):
        validate_password(weak, User(username="alund", first_name="Annabella", last_name="Lund"))


@pytest.mark.django_db
def test_superusers_have_strong_ones_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    call = {"interactive": False, "username": "root", "email": "", "stdout": io.StringIO()}
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "hospital1")
    with pytest.raises(CommandError, match="DJANGO_SUPERUSER_PASSWORD is too weak: This password"):
        call_command("createsuperuser", **call)
    assert not User.objects.exists()
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "seven-quiet-otters-42")
    call_command("createsuperuser", **call)
    assert User.objects.get().is_superuser
    (event,) = AuditEvent.objects.filter(action="user.created")
    assert event.detail == {"is_superuser": True}
