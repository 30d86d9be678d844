from collections.abc import Callable

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from webapp.audit.append_only import AppendOnlyError
from webapp.audit.models import AuditEvent
from webapp.audit.services import audit_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(clinician: User) -> AuditEvent:
    return audit_record(actor=clinician, action="user.viewed", target=clinician, detail={"a": 1})


def test_an_event_says_who_did_what_to_what(event: AuditEvent, clinician: User) -> None:
    event.refresh_from_db()
    assert (event.actor, event.action) == (clinician, "user.viewed")
    assert (event.target_type, event.target_id) == ("auth.user", str(clinician.pk))
    assert event.detail == {"a": 1}
    assert event.request_id == "-"
    assert event.at is not None
    assert str(event) == f"user.viewed auth.user {clinician.pk}"


@pytest.mark.parametrize("actor", [None, AnonymousUser()])
def test_the_system_itself_has_no_account(clinician: User, actor: AnonymousUser | None) -> None:
    event = audit_record(actor=actor, action="user.viewed", target=clinician)
    event.refresh_from_db()
    assert (event.actor, event.detail) == (None, {})


def test_history_is_never_changed(event: AuditEvent) -> None:
    before = AuditEvent.objects.values().get(pk=event.pk)
    rows = AuditEvent.objects.filter(pk=event.pk)
    event.action = "user.forgotten"
    attempts: list[Callable[[], object]] = [
        event.save,
        lambda: event.save(update_fields=["action"]),
        event.delete,
        rows.delete,
        lambda: rows.update(action="x"),
        lambda: AuditEvent.objects.bulk_update([event], ["action"]),
        lambda: AuditEvent.objects.bulk_create(
            [event], update_conflicts=True, update_fields=["action"], unique_fields=["id"]
        ),
        lambda: AuditEvent.objects.update_or_create(pk=event.pk, defaults={"action": "x"}),
    ]
    for attempt in attempts:
        with pytest.raises(AppendOnlyError), transaction.atomic():
            attempt()
    assert AuditEvent.objects.values().get(pk=event.pk) == before


def test_who_has_a_history_cannot_be_deleted(event: AuditEvent, clinician: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        clinician.delete()


def test_events_are_listed_newest_first(event: AuditEvent, clinician: User) -> None:
    newer = audit_record(actor=None, action="user.viewed", target=clinician)
    assert list(AuditEvent.objects.all()) == [newer, event]


def test_the_admin_shows_events_and_changes_none(
    client: Client, event: AuditEvent, django_user_model: type[User]
) -> None:
    client.force_login(django_user_model.objects.create_superuser("administrator"))
    listing = client.get(reverse("admin:audit_auditevent_changelist"))
    assert listing.status_code == 200
    assert "user.viewed" in listing.text
    address = reverse("admin:audit_auditevent_change", args=[event.pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"action": "x"}).status_code == 403
    assert client.get(reverse("admin:audit_auditevent_add")).status_code == 403
    delete = reverse("admin:audit_auditevent_delete", args=[event.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
