"""Django admin under crafted addresses: none is an error of the server."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.models import User
from django.db import DatabaseError, models
from django.test import Client, RequestFactory
from django.urls import reverse

from patients.models import Patient, Specimen
from webapp.audit.reads import SoundChangeList
from webapp.audit.services import audit_record

pytestmark = pytest.mark.django_db
REGISTERED = sorted(admin.site._registry, key=lambda model: model._meta.label)
HUGE = "9" * 40
LOOKUPS = {
    "": ("abc", HUGE, "-1", "\x00", "1e400", "", "é"),
    "__year": ("9999", "10000", "0", "-1", "abc", HUGE),
    "__date": ("9999-12-31", "0001-01-01", "abc"),
    "__gte": ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "abc", HUGE, "nan"),
    "__month": ("13", HUGE),
    "__hour": ("25", "abc"),
    "__regex": ("(", "[", "a{99999999}"),
    "__in": (f"{HUGE},abc", ","),
    "__range": ("1", "2,abc", f"1,{HUGE}"),
    "__isnull": ("maybe",),
    "__contains": ("\x00", "%"),
    "__exact": (HUGE, "{", "null"),
    "__nosuch": ("1",),
    "__id__id": ("1",),
}
SINGLE = (
    {"o": "abc"}, {"o": "9.-9"}, {"o": HUGE}, {"p": "-1"}, {"p": HUGE}, {"p": "abc"},
    {"q": HUGE}, {"q": "\x00"}, {"q": "'\"\\%_("}, {"q": "(" * 300}, {"all": ""}, {"e": "1"},
    {"_facets": "abc"}, {"_popup": "abc"}, {"_to_field": "password"}, {"_changelist_filters": "="},
)  # fmt: skip


@pytest.fixture
def chief(client: Client, administrator: User) -> Client:
    client.force_login(administrator)
    client.raise_request_exception = False
    return client


@pytest.fixture
def administrator(django_user_model: type[User], db: None) -> User:
    return django_user_model.objects.create_superuser("administrator")


def queries(model: type[models.Model]) -> Iterator[dict[str, str]]:
    """Every lookup on one field of each kind, and what else a list reads."""
    kinds = {type(field): field.name for field in model._meta.concrete_fields}
    for name in kinds.values():
        for lookup, values in LOOKUPS.items():
            yield from ({f"{name}{lookup}": value} for value in values)
    yield from SINGLE


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label_lower)
def test_no_crafted_list_is_an_error_of_ours(
    model: type[models.Model], administrator: User, rf: RequestFactory
) -> None:
    audit_record(actor=administrator, action="user.viewed", target=administrator)
    failed = []
    for query in queries(model):
        request = rf.get("/", query)
        request.user = administrator
        try:
            response = admin.site._registry[model].changelist_view(request)
            if hasattr(response, "render"):
                response.render()
        except Exception as error:
            if not getattr(error, "__module__", "").startswith("django.c"):  # a refusal: 400, 403
                failed.append((query, repr(error)))
    assert failed == []


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label_lower)
def test_no_crafted_row_is_an_error_of_ours(model: type[models.Model], chief: Client) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    ids = ("abc", "0", "-1", HUGE, "1_2F2", "%00", "é", "1.5", "_")
    addresses = [
        reverse(f"{name}_{page}", args=[pk]) for page in ("change", "history") for pk in ids
    ]
    given = {field.name: "abc" for field in model._meta.fields}
    addresses += [f"{reverse(f'{name}_add')}?{urlencode(given)}"]
    addresses += [f"{reverse(f'{name}_add')}?{urlencode(dict.fromkeys(given, HUGE))}"]
    answers = {address: chief.get(address).status_code for address in addresses}
    assert [answer for answer in answers.items() if answer[1] >= 500] == []


def test_no_crafted_suggestion_is_an_error_of_ours(chief: Client) -> None:
    given = {"app_label": "patients", "model_name": "specimen", "field_name": "patient"}
    for more in (
        {}, {"term": "\x00"}, {"term": HUGE}, {"page": "abc"}, {"page": "-1"}, {"page": HUGE},
        {"field_name": "stain"}, {"field_name": "abc"}, {"model_name": "abc"}, {"app_label": "x"},
    ):  # fmt: skip
        assert chief.get("/admin/autocomplete/", {**given, **more}).status_code < 500, more


def test_the_trail_is_listed_in_any_time_zone(chief: Client, settings: object) -> None:
    """By date in SQL MariaDB and MySQL answer only with time-zone tables."""
    settings.TIME_ZONE = "Asia/Kathmandu"  # type: ignore[attr-defined]
    for query in ({}, {"at__gte": "2026-01-01 00:00:00+05:45"}, {"at__year": "2026"}):
        assert chief.get("/admin/audit/auditevent/", query).status_code == 200
    page = chief.get("/admin/audit/auditevent/").content.decode()
    assert "Past 7 days" in page


def test_a_database_that_fails_is_no_filter_s_fault(
    chief: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise DatabaseError

    monkeypatch.setattr("django.contrib.admin.views.main.ChangeList.get_results", fail)
    lists = object.__new__(SoundChangeList)
    lists.filter_params, lists.query = {}, ""
    with pytest.raises(DatabaseError):
        lists.get_results(None)
    lists.filter_params = {"at__year": ["9999"]}
    with pytest.raises(IncorrectLookupParameters):
        lists.get_results(None)


def test_suggestions_of_patients_are_a_read(chief: Client, administrator: User) -> None:
    from webapp.audit.models import AuditEvent

    patient = Patient.objects.create(medical_record_number="M-1", name="Ada Example")
    Specimen.objects.create(accession_number="S-1", patient=patient)
    given = {"app_label": "patients", "model_name": "specimen", "field_name": "patient"}
    assert "Ada Example" in chief.get("/admin/autocomplete/", given).content.decode()
    event = AuditEvent.objects.first()
    assert (event.action, event.detail) == ("patient.listed", {"ids": [patient.pk]})
