"""Sign-ins, sign-outs, failures, refusals, and what Django admin shows: all in the trail."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from patients.models import Patient
from webapp.accounts.tokens import token_make
from webapp.audit.access import FAILED_KEPT
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD = "a long pass phrase of a test"


@pytest.fixture
def user(django_user_model: type[User]) -> User:
    return django_user_model.objects.create_user("lena", password=PASSWORD)


def trail() -> list[tuple[str, str, str | None]]:
    """Action, target and actor of each event, the oldest first."""
    events = AuditEvent.objects.select_related("actor").order_by("pk")
    return [(e.action, e.target_id, e.actor.username if e.actor else None) for e in events]


def test_signing_in_and_out(client: Client, user: User) -> None:
    client.post(reverse("login"), {"username": "lena", "password": PASSWORD})
    client.post(reverse("logout"))
    pk = str(user.pk)
    assert trail() == [("user.signed_in", pk, "lena"), ("user.signed_out", pk, "lena")]


def test_a_failed_sign_in_names_an_account_and_never_what_else_was_typed(
    client: Client, user: User
) -> None:
    for name in ("lena", "a password in the wrong field"):
        client.post(reverse("login"), {"username": name, "password": "guess"})
    assert trail() == [
        ("user.sign_in_failed", str(user.pk), None),
        ("user.sign_in_failed", "-", None),
    ]
    assert "wrong field" not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("name", ["lena", "nobody"])
def test_a_guesser_does_not_fill_the_trail(client: Client, user: User, name: str) -> None:
    for number in range(FAILED_KEPT + 5):  # from one address a pause would come first
        address = f"192.0.2.{number}"
        client.post(reverse("login"), {"username": name, "password": "guess"}, REMOTE_ADDR=address)
    failures = AuditEvent.objects.filter(action="user.sign_in_failed")
    assert failures.count() == FAILED_KEPT


@pytest.mark.parametrize("address", ["/patients/new", "/admin/", "/admin/patients/patient/"])
def test_refused_access_is_one_event(client: Client, user: User, address: str) -> None:
    client.force_login(user)
    before = AuditEvent.objects.count()
    client.get(address)
    assert AuditEvent.objects.count() == before + 1
    event = AuditEvent.objects.first()
    assert (event.action, event.actor, event.target_id) == ("access.refused", user, str(user.pk))
    assert event.detail == {"method": "GET", "path": address}


def test_refused_access_by_token(user: User) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {token_make(user, actor=None)}")
    assert api.delete("/api/patients/1").status_code == 403
    assert trail()[-1][0] == "access.refused"
    assert "user.signed_in" not in [event[0] for event in trail()], "a token is no sign-in"


def test_who_is_not_signed_in_is_refused_without_an_event(client: Client) -> None:
    for address in ("/", "/admin/", "/api/patients"):
        assert client.get(address).status_code in (302, 401, 403)
    assert trail() == []


def test_lists_and_histories_of_admin_are_reads(client: Client, administrator: User) -> None:
    client.force_login(administrator)
    patient = Patient.objects.create(medical_record_number="M-1", name="Ada Example")
    for model, row in (("patients_patient", patient), ("auth_user", administrator)):
        client.get(reverse(f"admin:{model}_changelist"))
        client.get(reverse(f"admin:{model}_history", args=[row.pk]))
    client.get(reverse("admin:audit_auditevent_changelist"))
    found = list(AuditEvent.objects.order_by("pk").values_list("action", "target_id", "detail"))
    reader = str(administrator.pk)
    assert found[1:5] == [
        ("patient.listed", reader, {"ids": [patient.pk]}),
        ("patient.history_viewed", str(patient.pk), {}),
        ("user.listed", reader, {"ids": [administrator.pk]}),
        ("user.history_viewed", reader, {}),
    ]
    assert found[5][0] == "auditevent.listed"
    assert len(found[5][2]["ids"]) == 5


@pytest.fixture
def administrator(django_user_model: type[User]) -> User:
    return django_user_model.objects.create_superuser("administrator")
