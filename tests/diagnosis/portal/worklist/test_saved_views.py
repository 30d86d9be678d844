"""A person's own views of the work list: saved, shown, deleted, and nobody else's."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from diagnosis.cases.saved_views import VIEWS_ALLOWED
from diagnosis.models import SavedView
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
URGENT = "status=in_review&priority=2"


def save(client: Client, name: str, query: str = URGENT) -> str:
    """The page that follows."""
    answer = client.post("/views/save", {"name": name, "query": query}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def chips(client: Client, query: str = "") -> list[str]:
    """Names of the saved views on the work list."""
    return [view.name for view in client.get(f"/?{query}").context["saved"]]


def test_a_view_is_saved_shown_and_deleted(client_signed_in: Client, clinician: User) -> None:
    offered = client_signed_in.get(f"/?{URGENT}").content.decode()
    assert "Save view" in offered
    assert "The view “<bdi>Urgent ones</bdi>” is saved." in save(
        client_signed_in, "  Urgent   ones "
    )
    view = SavedView.objects.get()
    assert (view.user, view.name, view.query) == (clinician, "Urgent ones", URGENT)
    page = client_signed_in.get(f"/?{URGENT}").content.decode()
    assert 'href="?status=in_review&amp;priority=2" aria-current="true"' in page
    assert "Save view" not in page
    assert "Delete the view “<bdi>Urgent ones</bdi>”" in page
    assert "Delete the view" not in client_signed_in.get("/").content.decode()
    answer = client_signed_in.post(f"/views/{view.pk}/delete")
    assert answer.headers["Location"] == f"/?{URGENT}"
    assert chips(client_signed_in) == []


def test_the_filters_are_kept_and_nothing_else(client_signed_in: Client) -> None:
    save(client_signed_in, "x", "after=0_0&page=2&priority=2&evil=1&search=Zoë+%26&status=lost")
    assert SavedView.objects.get().query == "search=Zo%C3%AB+%26&priority=2"
    assert chips(client_signed_in) == ["x"]


@pytest.mark.parametrize("query", ["", "after=1", "status=open", "status=lost", "evil=1"])
def test_without_filters_there_is_nothing_to_save(client_signed_in: Client, query: str) -> None:
    assert "The view is not saved." in save(client_signed_in, "x", query)
    assert not SavedView.objects.exists()
    assert "Save view" not in client_signed_in.get(f"/?{query}").content.decode()


def test_the_built_in_views_are_not_offered_for_saving(client_signed_in: Client) -> None:
    page = client_signed_in.get("/?show=suspicious").content.decode()
    assert "Save view" not in page


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\0b"])
def test_a_name_is_one_line_of_text(client_signed_in: Client, name: str) -> None:
    assert "The view is not saved." in save(client_signed_in, name)
    assert not SavedView.objects.exists()


def test_a_name_is_a_person_s_own(client_signed_in: Client, other: Client) -> None:
    save(client_signed_in, "Urgent")
    assert "You have a view of this name" in save(client_signed_in, "URGENT", "priority=1")
    assert "is saved" in save(other, "Urgent", "priority=1")
    assert SavedView.objects.count() == 2


def test_there_is_a_limit(client_signed_in: Client, clinician: User, other: Client) -> None:
    SavedView.objects.bulk_create(
        SavedView(user=clinician, name=f"view {number}", query=URGENT)
        for number in range(VIEWS_ALLOWED)
    )
    assert f"You have {VIEWS_ALLOWED} saved views" in save(client_signed_in, "one more")
    assert SavedView.objects.count() == VIEWS_ALLOWED
    assert "is saved" in save(other, "mine")


def test_nobody_sees_or_deletes_another_s_view(client_signed_in: Client, other: Client) -> None:
    save(client_signed_in, "Urgent")
    view = SavedView.objects.get()
    assert chips(other, URGENT) == []
    assert other.post(f"/views/{view.pk}/delete").status_code == 404
    assert SavedView.objects.exists()


def test_only_who_may_see_cases_has_views(client: Client, django_user_model: type[User]) -> None:
    user = django_user_model.objects.create_user("looker")
    user.user_permissions.add(Permission.objects.get(codename="view_diagnosis"))
    client.force_login(user)
    view = SavedView.objects.create(user=user, name="x", query=URGENT)
    assert "Save view" not in client.get("/?priority=1").content.decode()
    sent = {"name": "y", "query": URGENT}
    assert client.post("/views/save", sent).status_code == 403
    assert client.post(f"/views/{view.pk}/delete").status_code == 403
    assert SavedView.objects.count() == 1


def test_reading_the_address_changes_nothing(client_signed_in: Client) -> None:
    save(client_signed_in, "x")
    view = SavedView.objects.get()
    for address in ("/views/save", f"/views/{view.pk}/delete"):
        assert client_signed_in.get(address).status_code == 405
    assert SavedView.objects.exists()


def test_events_name_no_patient(client_signed_in: Client) -> None:
    save(client_signed_in, "Grace", "search=Grace")
    pk = SavedView.objects.get().pk
    client_signed_in.post(f"/views/{pk}/delete")
    events = AuditEvent.objects.filter(target_type="diagnosis.savedview").order_by("id")
    assert [(event.action, event.target_id, event.detail) for event in events] == [
        ("savedview.created", str(pk), {}),
        ("savedview.deleted", str(pk), {}),
    ]


def test_what_a_name_contains_is_text(client_signed_in: Client) -> None:
    page = save(client_signed_in, "<script>alert(1)</script>")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


@pytest.fixture
def other(django_user_model: type[User], clinician: User) -> Client:
    """Another clinician's browser."""
    user = django_user_model.objects.create_user("other")
    user.groups.set(clinician.groups.all())
    client = Client()
    client.force_login(user)
    return client
