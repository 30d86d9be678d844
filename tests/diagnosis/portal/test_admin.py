"""Diagnoses in Django admin: read-only for everybody, and failed ones can be tried again."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from diagnosis.roles import ADMINISTRATOR
from patients.models import Specimen
from tests.diagnosis.portal import records
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
LIST = "/admin/diagnosis/diagnosis/"


def test_superuser_reads_a_result_and_cannot_add_change_or_delete_one(
    admin_client: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(clinician, specimen)
    page = admin_client.get(f"{LIST}{diagnosis.pk}/change/")
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    change = admin_client.post(f"{LIST}{diagnosis.pk}/change/", {"outcome": "not_suspicious"})
    assert change.status_code == 403
    assert admin_client.post(f"{LIST}add/", {}).status_code == 403
    assert admin_client.post(f"{LIST}{diagnosis.pk}/delete/", {"post": "yes"}).status_code == 403
    diagnosis.refresh_from_db()
    assert diagnosis.outcome == "suspicious"


def test_superuser_is_not_offered_to_delete_the_chosen(
    admin_client: Client, clinician: User, specimen: Specimen
) -> None:
    records.screened(clinician, specimen)
    page = admin_client.get(LIST).content.decode()
    assert "Retry failed diagnoses" in page
    assert "delete_selected" not in page


def test_opening_a_record_in_admin_is_audited(
    admin_client: Client, admin_user: User, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(clinician, specimen)
    admin_client.get(f"{LIST}{diagnosis.pk}/change/")
    event = AuditEvent.objects.get(action="diagnosis.viewed")
    assert (event.actor, event.target_id) == (admin_user, str(diagnosis.pk))


def test_retry_puts_the_failed_back_in_the_queue_and_leaves_the_others(
    admin_client: Client, admin_user: User, clinician: User, specimen: Specimen
) -> None:
    failed, screened = records.failed(clinician, specimen), records.screened(clinician, specimen)
    chosen = {"action": "retry_failed", "_selected_action": [failed.pk, screened.pk]}
    page = admin_client.post(LIST, chosen, follow=True).content.decode()
    assert "1 of 2 chosen diagnoses will be tried again. Only failed ones can be." in page
    failed.refresh_from_db()
    screened.refresh_from_db()
    assert (failed.status, failed.failure) == ("received", "")
    assert screened.status == "screened"
    assert AuditEvent.objects.filter(action="diagnosis.received", actor=admin_user).count() == 1


def test_staff_who_may_only_look_are_not_offered_the_retry(
    client: Client, django_user_model: type[User], clinician: User, specimen: Specimen
) -> None:
    failed = records.failed(clinician, specimen)
    user = django_user_model.objects.create_user("auditor", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_diagnosis"))
    client.force_login(user)
    assert "Retry failed" not in client.get(LIST).content.decode()
    client.post(LIST, {"action": "retry_failed", "_selected_action": [failed.pk]})
    failed.refresh_from_db()
    assert failed.status == "failed"


@pytest.mark.parametrize(
    "query",
    ["outcome__exact=suspicious", "status__exact=screened", "model_version=1", "q=h26-1"],
)
def test_list_filters_and_searches(
    admin_client: Client, clinician: User, specimen: Specimen, query: str
) -> None:
    found = records.screened(clinician, specimen)
    records.failed(clinician, None)
    listed = admin_client.get(f"{LIST}?{query}").context["cl"].queryset
    assert [diagnosis.pk for diagnosis in listed] == [found.pk]


def test_list_is_searched_by_hash(
    admin_client: Client, clinician: User, specimen: Specimen
) -> None:
    found, _ = records.screened(clinician, specimen), records.screened(clinician, specimen)
    for digest in (found.image_sha256, found.upload_sha256):
        listed = admin_client.get(LIST, {"q": digest}).context["cl"].queryset
        assert [diagnosis.pk for diagnosis in listed] == [found.pk]


def test_admin_says_what_it_is_and_shows_users_and_groups(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "Leukemia Detection administration" in page
    assert "research use only" in page
    assert 'href="/admin/auth/group/"' in page
    users = admin_client.get("/admin/auth/user/")
    assert users.status_code == 200
    assert 'href="/admin/auth/user/"' in page


def test_an_administrator_has_a_failed_field_tried_again(
    client: Client, clinician: User, specimen: Specimen
) -> None:
    failed = records.failed(clinician, specimen)
    user = User.objects.create_user("keeper", is_staff=True)
    user.groups.add(Group.objects.get(name=ADMINISTRATOR))
    client.force_login(user)
    client.post(LIST, {"action": "retry_failed", "_selected_action": [failed.pk]})
    failed.refresh_from_db()
    assert failed.status == "received"
