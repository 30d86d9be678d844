"""The work list's filters: each by itself, combined, over several pages, and unreadable ones."""

import re
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from diagnosis.models import Case
from diagnosis.portal.wording import age
from patients.models import Patient, Specimen
from tests.clock import clock_at
from tests.diagnosis.made.signing import close

pytestmark = pytest.mark.django_db
NUMBERS = count(1)


def case(
    *,
    status: str = "new",
    priority: int = 3,
    headline: str = "indeterminate",
    assignee: User | None = None,
    name: str = "Ada Example",
    received_at: datetime | None = None,
    created_at: datetime | None = None,
) -> int:
    """The id of a case with these columns; what the fields say does not matter to the list."""
    number = next(NUMBERS)
    patient = Patient.objects.create(medical_record_number=f"F-{number}", name=name)
    specimen = Specimen.objects.create(
        accession_number=f"F-{number}", patient=patient, received_at=received_at
    )
    with clock_at(created_at or timezone.now()):
        made = Case.objects.create(
            specimen=specimen,
            status="new" if status in ("signed", "amended") else status,
            calm=int(headline in ("waiting", "not_suspicious")),
            priority=priority,
            headline=headline,
            assignee=assignee,
        )
    if status in ("signed", "amended"):
        close(made, amended=status == "amended")
    return made.pk


def shown(client: Client, **query: str) -> set[int]:
    answer = client.get("/", query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["page"].cases}


def test_status(client_signed_in: Client) -> None:
    by = {status: case(status=status) for status in ("new", "in_review", "signed", "amended")}
    for status, pk in by.items():
        assert shown(client_signed_in, status=status) == {pk}
    assert shown(client_signed_in) == {by["new"], by["in_review"]}
    assert shown(client_signed_in, status="open") == {by["new"], by["in_review"]}
    assert shown(client_signed_in, status="closed") == {by["signed"], by["amended"]}
    assert shown(client_signed_in, status="any") == set(by.values())
    assert shown(client_signed_in, search="ada") == set(by.values())
    assert shown(client_signed_in, search="ada", status="open") == {by["new"], by["in_review"]}
    for query, words in (({}, "Open"), ({"status": "open"}, "Open"), ({"search": "ada"}, "Any")):
        page = client_signed_in.get("/", query).content.decode()
        assert re.search(f'<option value=""( selected)?>{words}</option>', page)


def test_priority_headline_and_assignee(
    client_signed_in: Client, clinician: User, django_user_model: type[User]
) -> None:
    other = django_user_model.objects.create_user("other")
    stat, suspicious = case(priority=1), case(headline="suspicious")
    mine, others = case(assignee=clinician), case(assignee=other)
    assert shown(client_signed_in, priority="1") == {stat}
    assert shown(client_signed_in, headline="suspicious") == {suspicious}
    assert shown(client_signed_in, assignee="mine") == {mine}
    assert shown(client_signed_in, assignee="nobody") == {stat, suspicious}
    assert shown(client_signed_in, assignee="") == {stat, suspicious, mine, others}


def test_filters_combine(client_signed_in: Client, clinician: User) -> None:
    wanted = {"status": "signed", "priority": 2, "headline": "suspicious", "assignee": clinician}
    found = case(**wanted)  # type: ignore[arg-type]
    for name, other in (
        ("status", "new"), ("priority", 3), ("headline", "waiting"), ("assignee", None)
    ):  # fmt: skip
        case(**{**wanted, name: other})  # type: ignore[arg-type]
    case(**wanted, name="Somebody Else")  # type: ignore[arg-type]
    query = {"search": "ada", "status": "signed", "priority": "2", "headline": "suspicious"}
    assert shown(client_signed_in, **query, assignee="mine") == {found}


def test_received_counts_whole_days_of_the_laboratory(
    client_signed_in: Client, settings: Settings
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"  # two hours before UTC in June
    timezone.get_default_timezone.cache_clear()
    last_minute = case(received_at=datetime(2026, 6, 2, 21, 59, tzinfo=UTC))
    next_day = case(received_at=datetime(2026, 6, 2, 22, 0, tzinfo=UTC))
    # Without a time of receipt, the list shows when the first field came.
    by_field = case(created_at=datetime(2026, 6, 2, 8, 0, tzinfo=UTC))
    late_field = case(
        received_at=datetime(2026, 6, 2, 8, 0, tzinfo=UTC),
        created_at=datetime(2026, 6, 9, 8, 0, tzinfo=UTC),
    )
    second = {last_minute, by_field, late_field}
    try:
        days = {"received_from": "2026-06-02", "received_to": "2026-06-02"}
        assert shown(client_signed_in, **days) == second
        assert shown(client_signed_in, received_from="2026-06-03") == {next_day}
        assert shown(client_signed_in, received_to="2026-06-02") == second
        assert shown(client_signed_in, received_to="2026-06-01") == set()
    finally:
        settings.TIME_ZONE = "UTC"
        timezone.get_default_timezone.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "lost"), ("priority", "9"), ("priority", "x"), ("headline", "healthy"),
     ("assignee", "7"), ("received_from", "yesterday"), ("received_to", "2026-13-01"),
     ("search", "x" * 201), ("search", "\0")],
)  # fmt: skip
def test_what_cannot_be_read_is_marked_and_narrows_nothing(
    client_signed_in: Client, name: str, value: str
) -> None:
    pk = case()
    answer = client_signed_in.get("/", {name: value})
    assert [row.pk for row in answer.context["page"].cases] == [pk]
    assert list(answer.context["form"].errors) == [name]
    assert "field__error" in answer.content.decode()


def test_a_period_ends_after_it_begins(client_signed_in: Client) -> None:
    case()
    query = {"received_from": "2026-06-03", "received_to": "2026-06-02"}
    page = client_signed_in.get("/", query).content.decode()
    assert "This is before the first day; correct one." in page


def test_pages_go_on_with_every_filter(
    client_signed_in: Client, clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.portal.views.cases.PAGE_SIZE", 2)
    kept = {"status": "signed", "priority": 2, "headline": "suspicious", "assignee": clinician}
    wanted = [case(**kept) for _ in range(5)]  # type: ignore[arg-type]
    for _ in range(5):
        case(priority=2)
    query = {"search": "ada", "status": "closed", "priority": "2", "assignee": "mine"}
    query |= {"headline": "suspicious", "received_from": "2000-01-01"}
    found: list[int] = []
    after = ""
    for size in (2, 2, 1):
        answer = client_signed_in.get("/", {**query, "after": after})
        page = answer.context["page"]
        assert len(page.cases) == size
        if after := page.after:
            for name, value in query.items():
                assert f"{name}={value}" in answer.content.decode().split('rel="next"')[1]
        found += [row.pk for row in page.cases]
    assert found == wanted
    assert after == ""


@pytest.mark.parametrize("few", [0, 2, 1000])
@pytest.mark.parametrize(
    ("search", "found"),
    [("berg", {0, 1, 2}), ("anna berg", {1}), ("F- berg", {0, 1, 2}), ("berg zz", set()),
     ("F-", {0, 1, 2, 3})],
)  # fmt: skip
def test_a_search_finds_the_same_whether_few_or_many_match(
    client_signed_in: Client,
    monkeypatch: pytest.MonkeyPatch,
    few: int,
    search: str,
    found: set[int],
) -> None:
    names = ("Berg, Ada", "Berg, Anna", "Lindberg, Emil", "Carson, Anna")
    cases = [case(name=name) for name in names]
    monkeypatch.setattr("diagnosis.cases.selectors.FEW", few)
    assert shown(client_signed_in, search=search) == {cases[number] for number in found}


def test_a_view_s_name_in_an_address_means_its_filters(client_signed_in: Client) -> None:
    suspicious, _calm = case(headline="suspicious"), case(headline="not_suspicious")
    assert shown(client_signed_in, show="suspicious") == {suspicious}
    page = client_signed_in.get("/", {"show": "suspicious"}).content.decode()
    assert '<option value="suspicious" selected>' in page
    assert len(re.findall(r'<a [^>]*aria-current="true"', page)) == 1


def test_the_row_says_how_old_the_case_is_and_when_exactly_it_came(
    client_signed_in: Client,
) -> None:
    received = timezone.now() - timedelta(hours=3, minutes=10)
    case(received_at=received)
    page = client_signed_in.get("/").content.decode()
    assert f'title="{received:%-d %b %Y, %H:%M}">3 h</time>' in page


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        ({"seconds": -60}, "0 min"),
        ({"minutes": 119}, "119 min"),
        ({"minutes": 120}, "2 h"),
        ({"hours": 47, "minutes": 59}, "47 h"),
        ({"days": 2}, "2 d"),
        ({"days": 59}, "59 d"),
        ({"days": 60}, "2 months"),
        ({"days": 730}, "2 years"),
    ],
)
def test_ages(ago: dict[str, int], words: str) -> None:
    assert age(timezone.now() - timedelta(**ago)) == words
