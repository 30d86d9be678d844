"""Results, reviews and the audit trail stay as they are, whichever way somebody tries."""

from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, Diagnosis, Report, Review
from diagnosis.models.triggers import RULES, history_protect, history_unprotected
from patients.models import Specimen
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from webapp.audit.append_only import AppendOnly, AppendOnlyError
from webapp.audit.models import AuditEvent
from webapp.audit.triggers import triggers_drop

pytestmark = pytest.mark.django_db


@pytest.fixture
def review(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Review:
    diagnosis = run_field(create_field(clinician, smear_jpeg(1), specimen))
    return review_create(actor=clinician, diagnosis=diagnosis, verdict=Verdict.AGREE)


def execute(statement: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


REVIEW, EVENT, RESULT = "diagnosis_review", "audit_auditevent", "diagnosis_diagnosis"


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {REVIEW} SET label = 'Benign'",
        f"UPDATE {REVIEW} SET reviewer_id = reviewer_id",
        f"DELETE FROM {REVIEW}",
        f"UPDATE {EVENT} SET action = 'nothing'",
        f"DELETE FROM {EVENT}",
        f"UPDATE {RESULT} SET outcome = 'not_suspicious'",
        f"UPDATE {RESULT} SET predicted_class = 'Benign'",
        f"UPDATE {RESULT} SET confidence = 0.5",
        f"UPDATE {RESULT} SET status = 'received', outcome = NULL, predicted_class = NULL",
        f"UPDATE {RESULT} SET model_version = NULL",
        f"UPDATE {RESULT} SET image_sha256 = 'another'",
        f"UPDATE {RESULT} SET colour_conversion = 'ignored: broken'",
        f"DELETE FROM {RESULT}",
    ],
)
def test_the_database_refuses_raw_sql(review: Review, statement: str) -> None:
    before = [list(model.objects.values()) for model in (Review, AuditEvent, Diagnosis)]
    with pytest.raises(DatabaseError, match="is history"):
        execute(statement)
    assert [list(model.objects.values()) for model in (Review, AuditEvent, Diagnosis)] == before


def test_what_is_no_result_may_change(review: Review) -> None:
    execute(f"UPDATE {RESULT} SET lease_until = NULL, attempts = attempts + 1")


def test_what_has_no_result_yet_may_get_one(clinician: User, predictor: FakePredictor) -> None:
    assert run_field(create_field(clinician, smear_jpeg(2))).status == "screened"


@pytest.mark.parametrize("model", [Review, AuditEvent])
@pytest.mark.parametrize(
    "attempt",
    [
        lambda rows: rows.update(id=9),
        lambda rows: rows.delete(),
        lambda rows: rows.bulk_update(list(rows), ["created_at"]),
        lambda rows: rows.bulk_create(
            list(rows), update_conflicts=True, update_fields=["id"], unique_fields=["id"]
        ),
        lambda rows: rows.first().save(),
        lambda rows: rows.first().delete(),
    ],
    ids=["update", "delete", "bulk_update", "bulk_create", "save", "delete one"],
)
def test_the_orm_refuses(
    review: Review, model: type[Review], attempt: Callable[[QuerySet[Review]], object]
) -> None:
    count = model.objects.count()
    with pytest.raises(AppendOnlyError):
        attempt(model.objects.all())
    assert model.objects.count() == count


def test_a_new_row_takes_no_old_one_s_place(review: Review) -> None:
    again = Review(
        pk=review.pk,
        diagnosis=review.diagnosis,
        reviewer=review.reviewer,
        verdict=Verdict.AGREE,
        label="Benign",
    )
    with pytest.raises(IntegrityError, match="another row has this key"), transaction.atomic():
        again.save()


@pytest.mark.django_db(transaction=True)
def test_a_missing_trigger_shows_and_comes_back() -> None:
    assert history_unprotected() == []
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER history_{REVIEW}_update")
    assert history_unprotected() == [f"history_{REVIEW}_update"]
    history_protect()
    assert history_unprotected() == []


@pytest.mark.django_db(transaction=True)
def test_a_trigger_of_earlier_code_is_replaced(review: Review) -> None:
    """It may protect less than this code knows to protect."""
    name = f"history_{RESULT}_update"
    nothing = "BEGIN SELECT 1; END" if connection.vendor == "sqlite" else "SET @nothing = 1"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}")
        cursor.execute(f"CREATE TRIGGER {name} BEFORE UPDATE ON {RESULT} FOR EACH ROW {nothing}")
    execute(f"UPDATE {RESULT} SET confidence = 0.5")
    history_protect()
    with pytest.raises(DatabaseError, match="is history"):
        execute(f"UPDATE {RESULT} SET confidence = 0.6")


@pytest.mark.django_db(transaction=True)
def test_what_is_as_it_should_be_is_left_alone() -> None:
    """To make a trigger anew locks its table, and leaves it unprotected for a moment."""
    with CaptureQueriesContext(connection) as queries:
        call_command("migrate", verbosity=0)
    changes = [query["sql"] for query in queries if "TRIGGER" in query["sql"].split()[:2]]
    assert len(queries)
    assert not changes


@pytest.mark.django_db(transaction=True)
def test_every_protected_table_has_its_triggers() -> None:
    triggers_drop()
    protected = {rule.model for rule in RULES} | {
        model for model in apps.get_models() if issubclass(model, AppendOnly)
    }
    assert {Review, AuditEvent, Diagnosis, Case, Report} < protected
    assert set(history_unprotected()) == {
        f"history_{model._meta.db_table}_{event}"
        for model in protected
        for event in ("insert", "update", "delete")
    }
    history_protect()
    from webapp.audit.triggers import triggers_make

    triggers_make(apps.get_app_config("audit"))
    assert history_unprotected() == []


@pytest.mark.django_db(transaction=True)
def test_a_table_that_triggers_look_at_can_be_built_anew() -> None:
    """As SQLite does to change a column; this migration changes one of the fields' table."""
    call_command("migrate", "diagnosis", "0008", verbosity=0)
    call_command("migrate", "diagnosis", "0009", verbosity=0)
    call_command("migrate", verbosity=0)
    assert history_unprotected() == []
