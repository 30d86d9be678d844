"""The work list: one row a case, what needs a person first."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from diagnosis.cases.selectors import VIEWS
from diagnosis.cases.services import agree_with_all, case_assign, case_prioritise
from diagnosis.models import Case, Priority
from patients.models import Patient, Specimen
from tests.clock import clock_shifted
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records

pytestmark = pytest.mark.django_db
NUMBERS: Iterator[int] = count(1)
BENIGN = (0.95, 0.02, 0.02, 0.01)


def make_case(actor: User, *, benign: int = 0, suspicious: int = 0, name: str = "Ada") -> Case:
    """A case with so many fields of each kind; each has a patient of its own."""
    number = next(NUMBERS)
    patient = Patient.objects.create(medical_record_number=f"M-{number}", name=f"{name} {number}")
    specimen = Specimen.objects.create(accession_number=f"W-{number}", patient=patient)
    for _ in range(benign):
        records.screened(actor, specimen, outcome="not_suspicious", probabilities=BENIGN)
    for _ in range(suspicious):
        records.screened(actor, specimen)
    return Case.objects.get(specimen=specimen)


def sign_off(actor: User, case: Case) -> None:
    agree_with_all(actor=actor, case=case)
    assert sign(actor, case, case.headline, comment="Read.")


def rows(client: Client, **query: str) -> list[int]:
    answer = client.get("/", query)
    assert answer.status_code == 200
    return [case.pk for case in answer.context["page"].cases]


def test_what_needs_a_person_comes_first_then_the_urgent_then_the_oldest(
    client_signed_in: Client, clinician: User
) -> None:
    calm = make_case(clinician, benign=5)
    first = make_case(clinician, suspicious=1)
    few = make_case(clinician, benign=1)
    with clock_shifted(-timedelta(days=1)):
        older = make_case(clinician, benign=1)
    urgent = make_case(clinician, suspicious=1)
    case_prioritise(actor=clinician, case=urgent, priority=Priority.STAT)
    assert calm.headline == "not_suspicious"
    assert few.headline == "indeterminate"
    assert rows(client_signed_in) == [urgent.pk, older.pk, first.pk, few.pk, calm.pk]


def test_a_row_says_what_the_reader_sorts_by(client_signed_in: Client, clinician: User) -> None:
    case = make_case(clinician, suspicious=2, benign=1)
    case_assign(actor=clinician, case=case, assignee=clinician)
    page = client_signed_in.get("/").content.decode()
    for shown in (
        case.specimen.accession_number,
        case.specimen.patient.name,
        "badge--suspicious",
        "3 of 3 usable",
        "New",
        "Routine",
        "clinician",
    ):
        assert shown in page
    assert case.specimen.get_absolute_url() in page


def test_views_show_what_they_say(
    client_signed_in: Client, clinician: User, django_user_model: type[User]
) -> None:
    suspicious = make_case(clinician, suspicious=1)
    few = make_case(clinician, benign=1)
    calm = make_case(clinician, benign=5)
    signed = make_case(clinician, suspicious=1)
    sign_off(clinician, signed)
    case_assign(actor=clinician, case=few, assignee=clinician)
    other = django_user_model.objects.create_user("other")
    case_assign(actor=clinician, case=calm, assignee=other)
    expected = {
        "": {suspicious, few, calm},
        "mine": {few},
        "nobody": {suspicious},
        "suspicious": {suspicious},
        "indeterminate": {few},
        "not_suspicious": {calm},
        "waiting": set(),
        "closed": {signed},
        "nonsense": {suspicious, few, calm},
    }
    assert expected.keys() - {"", "nonsense"} == VIEWS.keys()
    for shown, cases in expected.items():
        assert set(rows(client_signed_in, show=shown)) == {case.pk for case in cases}, shown


def test_a_search_finds_signed_cases_too(client_signed_in: Client, clinician: User) -> None:
    case = make_case(clinician, suspicious=1, name="Grace")
    make_case(clinician, suspicious=1)
    sign_off(clinician, case)
    specimen = case.specimen
    for words in ("grace", specimen.accession_number, specimen.patient.medical_record_number):
        assert rows(client_signed_in, search=words) == [case.pk], words
    assert rows(client_signed_in, search="grace", show="suspicious") == [case.pk]
    assert rows(client_signed_in, search="grace", show="indeterminate") == []
    assert rows(client_signed_in, search="grace", status="open") == []


def test_pages_go_on_where_the_one_before_ended(
    client_signed_in: Client, clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.portal.views.cases.PAGE_SIZE", 3)
    for number in range(8):
        case = make_case(clinician, suspicious=number % 2, benign=5)
        if number % 3 == 0:
            case_prioritise(actor=clinician, case=case, priority=Priority.URGENT)
    everything = list(
        Case.objects.order_by("calm", "priority", "created_at").values_list("pk", flat=True)
    )
    found: list[int] = []
    after = ""
    for size in (3, 3, 2):
        answer = client_signed_in.get("/", {"after": after})
        page = answer.context["page"]
        assert len(page.cases) == size
        found += [case.pk for case in page.cases]
        assert ('rel="first" href="?"' in answer.text) == bool(after)
        after = page.after
        assert ('rel="next" href="?after=' in answer.text) == bool(after)
    assert found == everything
    assert after == ""


@pytest.mark.parametrize(
    "after", ["x", "0_0_3", "0_0_3_yesterday_1", "0_0_3_2026-13-01T00:00:00_1", "0_0_3_a_b"]
)
def test_a_page_that_is_none_is_the_first(
    client_signed_in: Client, clinician: User, after: str
) -> None:
    case = make_case(clinician, suspicious=1)
    assert rows(client_signed_in, after=after) == [case.pk]


@pytest.mark.parametrize("pk", ["9" * 30, "-" + "9" * 30, "9" * 5000])
def test_a_key_out_of_reach_is_no_error(client_signed_in: Client, clinician: User, pk: str) -> None:
    make_case(clinician, suspicious=1)
    rows(client_signed_in, after=f"0_0_3_2026-01-01T00:00:00+00:00_{pk}")
    rows(client_signed_in, after=f"{pk}_0_3_2026-01-01T00:00:00+00:00_1")


def test_queries_do_not_grow_with_the_rows(
    client_signed_in: Client, clinician: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(6):
        make_case(clinician, suspicious=1)
    with django_assert_max_num_queries(10):
        assert len(rows(client_signed_in)) == 6


def test_an_empty_list_says_how_to_begin(client_signed_in: Client) -> None:
    page = client_signed_in.get("/").content.decode()
    assert "No open cases." in page
    assert "No case matches." in client_signed_in.get("/", {"search": "x"}).content.decode()


# --- Taking a case -----------------------------------------------------------------------


def test_a_case_is_taken_and_given_back(client_signed_in: Client, clinician: User) -> None:
    case = make_case(clinician, suspicious=1)
    address = case.specimen.get_absolute_url()
    assert "Take this case" in client_signed_in.get(address).content.decode()
    assert client_signed_in.post(f"{address}/take").headers["Location"] == address
    assert rows(client_signed_in, show="mine") == [case.pk]
    assert "Give it back" in client_signed_in.get(address).content.decode()
    client_signed_in.post(f"{address}/take", {"back": ""})
    assert rows(client_signed_in, show="nobody") == [case.pk]


def test_a_case_becomes_urgent(client_signed_in: Client, clinician: User) -> None:
    case = make_case(clinician, suspicious=1)
    address = case.specimen.get_absolute_url()
    client_signed_in.post(f"{address}/priority", {"priority": "2"})
    case.refresh_from_db()
    assert case.priority == Priority.URGENT
    for nonsense in ("", "9", "high"):
        page = client_signed_in.post(f"{address}/priority", {"priority": nonsense}, follow=True)
        assert "The priority stays as it is" in page.content.decode()
    case.refresh_from_db()
    assert case.priority == Priority.URGENT


def test_who_may_only_look_takes_no_case(
    client: Client, clinician: User, django_user_model: type[User]
) -> None:
    case = make_case(clinician, suspicious=1)
    looker = django_user_model.objects.create_user("looker")
    for codename in ("view_diagnosis", "view_specimen"):
        looker.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(looker)
    address = case.specimen.get_absolute_url()
    assert "Take this case" not in client.get(address).content.decode()
    for action in ("take", "priority"):
        assert client.post(f"{address}/{action}", {"priority": "1"}).status_code == 403
    case.refresh_from_db()
    assert (case.assignee, case.priority) == (None, Priority.ROUTINE)
