"""One line that says that the model does not answer and since when, only while it is so."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.core.errors import ModelAwayError
from diagnosis.fields.selectors import model_away_since
from diagnosis.models import Diagnosis
from patients.models import Specimen
from tests.clock import clock_at
from tests.diagnosis.made.pictures import FakePredictor
from tests.diagnosis.portal import records

pytestmark = pytest.mark.django_db
TEN = datetime(2026, 11, 28, 10, tzinfo=UTC)
SENTENCE = "The model has not answered since 28 Nov 2026, 10:05."


def at(minutes: float) -> datetime:
    return TEN + timedelta(minutes=minutes)


@pytest.fixture(autouse=True)
def away(predictor: FakePredictor) -> FakePredictor:
    """The model, which is away."""
    predictor.error = ModelAwayError("connection refused")
    return predictor


@pytest.fixture
def waiting(clinician: User, specimen: Specimen) -> Diagnosis:
    """A field that came in at 10:05."""
    with clock_at(at(5)):
        return records.received(clinician, specimen)


def since(minutes: float) -> datetime | None:
    with clock_at(at(minutes)):
        return model_away_since()


def test_since_the_field_that_waits_longest_came_in(
    waiting: Diagnosis, clinician: User, specimen: Specimen
) -> None:
    with clock_at(at(7)):
        records.received(clinician, specimen)
    assert since(8) == at(5)


def test_not_before_the_last_answer(
    clinician: User, specimen: Specimen, waiting: Diagnosis
) -> None:
    """Of many fields that were sent together, the model answered some before it went away."""
    with clock_at(at(5.5)):
        records.screened(clinician, specimen)
    with clock_at(at(6)):
        records.screened(clinician, specimen)
    assert since(8) == at(6)


def test_an_earlier_answer_says_nothing(
    clinician: User, specimen: Specimen, waiting: Diagnosis
) -> None:
    with clock_at(at(1)):
        records.screened(clinician, specimen)
    assert since(8) == at(5)


def test_a_model_that_has_just_been_asked_is_not_called_away(
    waiting: Diagnosis, clinician: User, specimen: Specimen, away: FakePredictor
) -> None:
    away.is_available = lambda: pytest.fail("it was asked")  # type: ignore[method-assign]
    assert since(5.2) is None
    with clock_at(at(9)):
        records.screened(clinician, specimen)
    assert since(9.2) is None


def test_a_model_that_answers_is_not_away(waiting: Diagnosis, away: FakePredictor) -> None:
    away.error = None
    assert since(8) is None


def test_where_no_version_is_live(waiting: Diagnosis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the store of these tests has none
    assert since(8) == at(5)


def test_nobody_waits(clinician: User, waiting: Diagnosis) -> None:
    field_withdraw(actor=clinician, diagnosis=waiting, reason="Out of focus.")
    assert since(8) is None


@pytest.mark.parametrize(
    "address", ["/", "/diagnoses", "/patients/{patient}", "/specimens/H26-1", "/diagnoses/{field}"]
)
def test_pages_where_something_waits_say_so(
    client_signed_in: Client, waiting: Diagnosis, away: FakePredictor, address: str
) -> None:
    assert waiting.specimen
    url = address.format(patient=waiting.specimen.patient_id, field=waiting.pk)
    with clock_at(at(8)):
        page = client_signed_in.get(url).content.decode()
        assert page.count(SENTENCE) == 1
        away.error = None
        assert "has not answered" not in client_signed_in.get(url).content.decode()


def test_unassigned_fields_say_so(client_signed_in: Client, clinician: User) -> None:
    with clock_at(at(5)):
        records.received(clinician, None)
    with clock_at(at(8)):
        assert SENTENCE in client_signed_in.get("/diagnoses/unassigned").content.decode()


def test_in_german(client_signed_in: Client, waiting: Diagnosis) -> None:
    with clock_at(at(8)):
        page = client_signed_in.get("/", HTTP_ACCEPT_LANGUAGE="de").content.decode()
    assert "Das Modell antwortet seit 28.11.2026, 10:05 nicht mehr." in page


def test_a_page_where_nothing_waits_does_not_ask(
    client_signed_in: Client, away: FakePredictor
) -> None:
    away.is_available = lambda: pytest.fail("it was asked")  # type: ignore[method-assign]
    assert client_signed_in.get("/").status_code == 200
