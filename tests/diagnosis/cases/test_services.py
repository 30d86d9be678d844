"""Cases: counted as fields come and go, reviewed field by field."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection

from diagnosis.cases.services import (
    CaseError,
    agree_with_all,
    case_assign,
    case_prioritise,
    case_refresh,
    review_create,
)
from diagnosis.core.state import CaseStatus, Verdict
from diagnosis.fields.intake import diagnosis_assign, diagnosis_create
from diagnosis.models import Case, Diagnosis, Priority, ReadOnlyResultError, Review
from diagnosis.models.triggers import history_protect
from patients.models import Specimen
from tests.diagnosis.killed.steps import actions_of, create_field, run_field
from tests.diagnosis.made.pictures import BENIGN, FakePredictor, document_jpeg, smear_jpeg
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
SEEDS: Iterator[int] = iter(range(10_000))
UNCOUNTED = {"id", "created_at"}


def field(actor: User, specimen: Specimen | None, upload: bytes | None = None) -> Diagnosis:
    """One more screened field."""
    upload = upload or smear_jpeg(1) + str(next(SEEDS)).encode()
    return run_field(create_field(actor, upload, specimen))


@pytest.fixture
def case(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Case:
    """A case of two suspicious fields."""
    for _ in range(2):
        field(clinician, specimen)
    return Case.objects.get(specimen=specimen)


def fields_of(case: Case) -> list[Diagnosis]:
    return list(Diagnosis.objects.filter(specimen=case.specimen_id).order_by("id"))


# --- Counting ----------------------------------------------------------------------------


def test_the_first_field_of_a_specimen_makes_its_case(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    assert not Case.objects.exists()
    diagnosis = create_field(clinician, smear_jpeg(1), specimen)
    case = Case.objects.get()
    assert (case.specimen, case.status, case.waiting) == (specimen, "new", 1)
    assert (case.headline, case.rule, case.calm) == ("waiting", "fields_wait", 1)
    run_field(diagnosis)
    case.refresh_from_db()
    assert (case.waiting, case.suspicious) == (0, 1)
    assert (case.headline, case.rule, case.calm) == ("suspicious", "suspicious_field", 0)


def test_each_outcome_is_counted(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    field(clinician, specimen)
    predictor.probabilities = BENIGN
    for _ in range(2):
        field(clinician, specimen)
    predictor.ood_score = 99.0
    field(clinician, specimen)
    field(clinician, specimen, document_jpeg())
    create_field(clinician, smear_jpeg(5), specimen)
    case = Case.objects.get()
    found = (
        case.suspicious,
        case.not_suspicious,
        case.indeterminate,
        case.rejected,
        case.waiting,
        case.failed,
    )
    assert found == (1, 2, 1, 1, 1, 0)
    assert case.counts.total == 6


def test_below_the_minimum_of_usable_fields_nothing_is_not_suspicious(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    predictor.probabilities = BENIGN
    for _ in range(4):
        field(clinician, specimen)
    for _ in range(3):
        field(clinician, specimen, document_jpeg() + str(next(SEEDS)).encode())
    case = Case.objects.get()
    assert (case.headline, case.rule) == ("indeterminate", "too_few_fields")
    field(clinician, specimen)
    case.refresh_from_db()
    assert (case.headline, case.rule) == ("not_suspicious", "all_not_suspicious")


def test_a_field_without_specimen_belongs_to_no_case_until_it_is_assigned(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    diagnosis = field(clinician, None)
    assert not Case.objects.exists()
    diagnosis_assign(actor=clinician, diagnosis=diagnosis, specimen=specimen)
    assert Case.objects.get(specimen=specimen).suspicious == 1


def test_the_same_upload_again_counts_once(
    clinician: User, specimen: Specimen, predictor: FakePredictor, smear: bytes
) -> None:
    run_field(create_field(clinician, smear, specimen))
    diagnosis_create(actor=clinician, upload=smear, specimen=specimen)
    assert Case.objects.get().counts.total == 1


def test_a_case_with_the_fields_of_one_specimen_alone(
    case: Case, clinician: User, other_specimen: Specimen
) -> None:
    field(clinician, other_specimen)
    case.refresh_from_db()
    assert case.counts.total == 2
    assert Case.objects.get(specimen=other_specimen).counts.total == 1


# --- Assigning ---------------------------------------------------------------------------


def test_a_case_is_assigned_and_given_back(case: Case, clinician: User) -> None:
    case_assign(actor=clinician, case=case, assignee=clinician)
    assert case.assignee == clinician
    case_assign(actor=clinician, case=case, assignee=None)
    assert case.assignee is None
    events = AuditEvent.objects.filter(action="case.assigned").order_by("pk")
    assert [event.detail["assignee_id"] for event in events] == [clinician.pk, None]


def test_a_case_becomes_urgent(case: Case, clinician: User) -> None:
    case_prioritise(actor=clinician, case=case, priority=Priority.STAT)
    assert case.priority == Priority.STAT
    assert AuditEvent.objects.get(action="case.prioritised").detail == {
        "from": "Routine",
        "to": "Stat",
    }


# --- Reviewing ---------------------------------------------------------------------------


def test_a_review_takes_the_case_up(case: Case, clinician: User) -> None:
    first, second = fields_of(case)
    review = review_create(actor=clinician, diagnosis=first, verdict=Verdict.AGREE)
    assert (review.label, review.reviewer) == ("Malignant Pre-B", clinician)
    case.refresh_from_db()
    assert (case.status, case.reviewed) == (CaseStatus.IN_REVIEW, 1)
    review_create(actor=clinician, diagnosis=second, verdict=Verdict.AGREE)
    case.refresh_from_db()
    assert (case.status, case.reviewed) == (CaseStatus.IN_REVIEW, 2)
    assert AuditEvent.objects.filter(action="case.in_review").count() == 1
    assert actions_of(first)[-1] == "diagnosis.reviewed"


def test_a_change_of_mind_is_another_review(case: Case, clinician: User) -> None:
    first, _ = fields_of(case)
    review_create(actor=clinician, diagnosis=first, verdict=Verdict.AGREE)
    review_create(
        actor=clinician,
        diagnosis=first,
        verdict=Verdict.OVERRIDE,
        label="Benign",
        reason="Haematogones.",
    )
    assert [review.label for review in first.reviews.all()] == ["Benign", "Malignant Pre-B"]
    case.refresh_from_db()
    assert case.reviewed == 1
    first.refresh_from_db()
    assert first.predicted_class == "Malignant Pre-B", "what the software said stays"


@pytest.mark.parametrize(
    ("verdict", "label", "reason", "code"),
    [
        (Verdict.OVERRIDE, "", "Because.", "label_missing"),
        (Verdict.OVERRIDE, "Normal", "Because.", "label_missing"),
        (Verdict.OVERRIDE, "Malignant Pre-B", "Because.", "label_same"),
        (Verdict.OVERRIDE, "Benign", "  ", "reason_missing"),
        (Verdict.UNUSABLE, "", "", "reason_missing"),
    ],
)
def test_an_incomplete_review_is_refused(
    case: Case, clinician: User, verdict: Verdict, label: str, reason: str, code: str
) -> None:
    first, _ = fields_of(case)
    with pytest.raises(CaseError) as caught:
        review_create(actor=clinician, diagnosis=first, verdict=verdict, label=label, reason=reason)
    assert caught.value.code == code
    assert not Review.objects.exists()
    case.refresh_from_db()
    assert case.status == CaseStatus.NEW


@pytest.mark.parametrize(
    ("label", "verdict"), [("Malignant Pre-B", "agree"), ("Benign", "override")]
)
def test_a_blinded_read_is_compared_here(
    case: Case, clinician: User, label: str, verdict: str
) -> None:
    first, _ = fields_of(case)
    review = review_create(
        actor=clinician, diagnosis=first, verdict=Verdict.AGREE, label=label, blinded=True
    )
    assert (review.verdict, review.blinded) == (verdict, True)
    assert review.label == label


def test_what_has_no_class_is_not_reviewed(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    refused = field(clinician, specimen, document_jpeg())
    waiting = create_field(clinician, smear_jpeg(1), specimen)
    alone = field(clinician, None)
    for diagnosis, code in (
        (refused, "nothing_to_review"),
        (waiting, "nothing_to_review"),
        (alone, "unassigned"),
    ):
        with pytest.raises(CaseError) as caught:
            review_create(actor=clinician, diagnosis=diagnosis, verdict=Verdict.AGREE)
        assert caught.value.code == code
    assert Case.objects.get().status == CaseStatus.NEW


def test_a_refused_field_that_somebody_calls_unusable_is_no_usable_one_read(
    case: Case, clinician: User
) -> None:
    refused = field(clinician, case.specimen, document_jpeg())
    review_create(
        actor=clinician, diagnosis=refused, verdict=Verdict.UNUSABLE, reason="A page of text."
    )
    case.refresh_from_db()
    assert (case.counts.usable, case.reviewed) == (2, 0)


def test_agreeing_with_all_leaves_what_was_reviewed_before(case: Case, clinician: User) -> None:
    first, second = fields_of(case)
    review_create(
        actor=clinician, diagnosis=first, verdict=Verdict.UNUSABLE, reason="Out of focus."
    )
    assert agree_with_all(actor=clinician, case=case) == 1
    assert first.reviews.get().verdict == Verdict.UNUSABLE
    assert second.reviews.get().verdict == Verdict.AGREE
    assert agree_with_all(actor=clinician, case=case) == 0


# --- What nobody may do ------------------------------------------------------------------


def test_a_status_moves_by_the_allowed_ways_only(case: Case) -> None:
    rows = Case.objects.filter(pk=case.pk)
    with pytest.raises(ReadOnlyResultError):
        rows.update(status="signed")
    for current, to in (
        (CaseStatus.NEW, CaseStatus.SIGNED),
        (CaseStatus.SIGNED, CaseStatus.IN_REVIEW),
        (CaseStatus.AMENDED, CaseStatus.SIGNED),
    ):
        with pytest.raises(ReadOnlyResultError):
            rows.move(current, to)
    assert not rows.move(CaseStatus.IN_REVIEW, CaseStatus.SIGNED), "it is not in review"


def test_a_case_is_never_deleted(case: Case) -> None:
    with pytest.raises(ReadOnlyResultError):
        case.delete()
    with pytest.raises(ReadOnlyResultError):
        Case.objects.all().delete()


def test_counting_again_changes_nothing(case: Case) -> None:
    before = Case.objects.values().get()
    case_refresh(case.specimen_id)
    assert Case.objects.values().get() == before


@pytest.mark.django_db(transaction=True)  # MariaDB ends a transaction when a trigger goes
def test_fields_from_before_there_were_cases_get_theirs(
    case: Case, clinician: User, other_specimen: Specimen, predictor: FakePredictor
) -> None:
    """What the migration makes is what counting makes."""
    predictor.probabilities = BENIGN
    for _ in range(5):
        field(clinician, other_specimen)
    create_field(clinician, smear_jpeg(3), None)
    counted = [name for name in Case.objects.values().first() or {} if name not in UNCOUNTED]
    before = list(Case.objects.order_by("specimen_id").values(*counted))
    assert [row["headline"] for row in before] == ["suspicious", "not_suspicious"]
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER history_diagnosis_case_delete")
        cursor.execute("DELETE FROM diagnosis_case")
    history_protect()
    migration = import_module("diagnosis.migrations.0004_cases_of_earlier_fields")
    migration.make_cases(apps, None)
    assert list(Case.objects.order_by("specimen_id").values(*counted)) == before
    migration.make_cases(apps, None)
    assert Case.objects.count() == 2, "nothing is made twice"
