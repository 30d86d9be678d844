"""A field that does not belong where it is is taken out; it stays in the record."""

import json

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from diagnosis.cases.reading_order import fields_in_order, next_unread
from diagnosis.cases.services import CaseError, agree_with_all, review_create
from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.core.state import Verdict
from diagnosis.fields.intake import AlreadyHeldError, diagnosis_assign, diagnosis_create
from diagnosis.fields.selectors import (
    diagnoses_held,
    diagnoses_of_specimen,
    diagnoses_unassigned,
    outcome_counts,
)
from diagnosis.models import Case, Diagnosis, Report, Withdrawal
from diagnosis.reports.content.changes import changes_since
from diagnosis.reports.content.view import sheet
from diagnosis.signing import services as signoff
from diagnosis.signing.blockers import signing_blockers
from patients.models import Specimen
from tests.diagnosis.killed.steps import actions_of, create_field, run_field
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from tests.diagnosis.made.signing import add_fields, read_case, sign
from webapp.audit.append_only import AppendOnlyError
from webapp.domain_error import DomainError

pytestmark = pytest.mark.django_db
REASON = "It is of another patient."


@pytest.fixture
def technician(django_user_model: type[User], db: None) -> User:
    user = django_user_model.objects.create_user("technician")
    user.groups.add(Group.objects.get(name="Technician"))
    return user


@pytest.fixture
def case(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Case:
    """S-1 with three unread, suspicious fields."""
    return add_fields(clinician, specimen, 3)


def withdraw(actor: User, field: Diagnosis | None, reason: str = REASON) -> Withdrawal:
    assert field
    return field_withdraw(actor=actor, diagnosis=field, reason=reason)


def test_a_withdrawn_field_stays_and_counts_nowhere(
    case: Case, technician: User, clinician: User
) -> None:
    first, second, third = Diagnosis.objects.order_by("pk")
    withdrawal = withdraw(technician, second, f"  {REASON} ")
    assert (withdrawal.author, withdrawal.reason) == (technician, REASON)
    case.refresh_from_db()
    assert (case.suspicious, case.counts.total) == (2, 2)
    order = [(row.pk, row.number) for row in fields_in_order(case.specimen_id, clinician)]
    assert order == [(first.pk, 1), (third.pk, 3), (second.pk, 2)], "last, with its number"
    assert next_unread(case.specimen_id, clinician, after=first.pk) == third.pk
    assert outcome_counts(diagnoses_of_specimen(case.specimen), clinician) == {"suspicious": 2}
    assert agree_with_all(actor=clinician, case=case) == 2
    assert actions_of(second)[-1] == "diagnosis.withdrawn"
    assert sign(clinician, Case.objects.get())


def test_the_report_says_what_was_withdrawn_and_leaves_it_out(case: Case, clinician: User) -> None:
    agree_with_all(actor=clinician, case=case)
    withdraw(clinician, Diagnosis.objects.order_by("pk")[1])
    report = sign(clinician, case)
    assert report
    content = json.loads(report.content)
    assert [field["number"] for field in content["fields"]] == [1, 3]
    assert content["software"]["counts"]["suspicious"] == 2
    (gone,) = content["withdrawn"]
    assert (gone["number"], gone["reason"], gone["author"]["username"]) == (2, REASON, "clinician")
    printed = sheet(content, list(report.signatures), preliminary=False)
    assert printed.withdrawn[0].text.startswith("Field 2 (")
    assert (printed.withdrawn[1].text, printed.withdrawn[1].typed) == (REASON, True)


def test_a_case_without_withdrawals_reads_as_ever(case: Case) -> None:
    assert "withdrawn" not in signoff.current_content(case, None)


def test_it_is_not_read_any_more(case: Case, clinician: User) -> None:
    field = Diagnosis.objects.latest("pk")
    withdraw(clinician, field)
    with pytest.raises(CaseError, match="withdrawn") as refused:
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    assert refused.value.code == "withdrawn"


def test_a_withdrawal_needs_a_reason_and_stands(case: Case, clinician: User) -> None:
    field = Diagnosis.objects.latest("pk")
    with pytest.raises(CaseError, match="Give a reason"):
        withdraw(clinician, field, "   ")
    first = withdraw(clinician, field)
    with pytest.raises(CaseError, match="withdrawn already"):
        withdraw(clinician, field, "Again.")
    for attempt in (first.delete, first.save, Withdrawal.objects.all().delete):
        with pytest.raises(AppendOnlyError):
            attempt()
    assert Withdrawal.objects.get().reason == REASON


def test_what_somebody_has_read_is_withdrawn_by_a_reader(
    case: Case, clinician: User, technician: User
) -> None:
    field = Diagnosis.objects.latest("pk")
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    with pytest.raises(CaseError, match="Somebody has read") as refused:
        withdraw(technician, field)
    assert refused.value.code == "read_already"
    withdraw(clinician, field)


def test_a_signed_case_keeps_its_fields_until_it_is_amended(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    case = read_case(clinician, specimen, 3)
    first = sign(clinician, case)
    assert first
    field = Diagnosis.objects.latest("pk")
    with pytest.raises(CaseError, match="amendment"):
        withdraw(clinician, field)
    signoff.case_amend(actor=clinician, case=case, reason="A field is of another patient.")
    withdraw(clinician, field)
    now = signoff.current_content(Case.objects.get(), None)
    changes = changes_since(json.loads(first.content), now)
    assert changes == ["1 field no longer belongs to the case."]
    second = sign(clinician, case)
    assert second
    assert len(json.loads(second.content)["withdrawn"]) == 1


def test_an_amendment_may_withdraw_all_there_was(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    case = read_case(clinician, specimen, 1)
    sign(clinician, case)
    signoff.case_amend(actor=clinician, case=case, reason="Its only field is of another patient.")
    withdraw(clinician, Diagnosis.objects.get())
    case.refresh_from_db()
    assert (case.headline, case.calm, case.counts.total) == ("indeterminate", 1, 0)
    second = sign(clinician, case, "indeterminate")
    assert second
    content = json.loads(second.content)
    assert (content["fields"], len(content["withdrawn"])) == ([], 1)


def test_a_case_that_was_never_signed_needs_a_field(case: Case, clinician: User) -> None:
    for field in Diagnosis.objects.all():
        withdraw(clinician, field)
    (blocker,) = signing_blockers(Case.objects.get(), clinician)
    assert "There is no field to read yet" in blocker


def test_too_few_fields_are_left_to_call_it_not_suspicious(
    clinician: User, specimen: Specimen, predictor: FakePredictor, settings: Settings
) -> None:
    settings.MIN_USABLE_FIELDS = 3
    predictor.probabilities = (0.97, 0.01, 0.01, 0.01)
    case = read_case(clinician, specimen, 3)
    assert case.headline == "not_suspicious"
    withdraw(clinician, Diagnosis.objects.latest("pk"))
    case.refresh_from_db()
    assert (case.headline, case.rule) == ("indeterminate", "too_few_fields")
    with pytest.raises(CaseError, match="fewer than 3 usable"):
        sign(clinician, case, "not_suspicious", reason="None of them shows blasts.")


def test_a_waiting_or_failed_field_that_is_withdrawn_is_no_obstacle(
    case: Case, clinician: User, predictor: FakePredictor
) -> None:
    agree_with_all(actor=clinician, case=case)
    waiting = create_field(clinician, smear_jpeg(9), case.specimen)
    case.refresh_from_db()
    assert signing_blockers(case, clinician)
    withdraw(clinician, waiting)
    run_field(waiting)
    case.refresh_from_db()
    assert (case.waiting, case.counts.total) == (0, 3)
    assert signing_blockers(case, clinician) == []


def test_a_blinded_reader_owes_no_reading_of_it(
    case: Case, clinician: User, settings: Settings
) -> None:
    settings.BLINDED_FIRST_READ = True
    for field in Diagnosis.objects.order_by("pk")[:2]:
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, blinded=True)
    assert signing_blockers(Case.objects.get(), clinician)
    withdraw(clinician, Diagnosis.objects.latest("pk"))
    assert signing_blockers(Case.objects.get(), clinician) == []
    assert next_unread(case.specimen_id, clinician) is None


def test_an_unassigned_field_is_withdrawn_too(
    clinician: User, technician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    field = create_field(clinician, smear_jpeg(1))
    withdraw(technician, field)
    assert not diagnoses_unassigned().exists()
    with pytest.raises(DomainError, match="withdrawn"):
        diagnosis_assign(actor=clinician, diagnosis=field, specimen=specimen)
    again, created = diagnosis_create(actor=clinician, upload=smear_jpeg(1))
    assert created
    assert list(diagnoses_unassigned()) == [again]
    diagnosis_assign(actor=clinician, diagnosis=again, specimen=specimen)


def test_the_right_specimen_takes_the_image(
    case: Case, clinician: User, other_specimen: Specimen
) -> None:
    upload = smear_jpeg(7)
    field = create_field(clinician, upload, case.specimen)
    withdraw(clinician, field)
    right, created = diagnosis_create(actor=clinician, upload=upload, specimen=other_specimen)
    assert created
    assert right.specimen == other_specimen


def test_the_same_upload_does_not_come_back_by_itself(case: Case, clinician: User) -> None:
    """A folder sent again would bring the other patient's field back."""
    upload, specimen = smear_jpeg(7), case.specimen
    field = create_field(clinician, upload, specimen)
    withdraw(clinician, field)
    with pytest.raises(DomainError) as refused:
        diagnosis_create(actor=clinician, upload=upload, specimen=specimen)
    assert refused.value.code == "withdrawn"
    assert "Unassigned fields" in refused.value.hint
    assert diagnoses_held(specimen, [field.upload_sha256]) == []
    # A person who assigns it says that it belongs there.
    again, _ = diagnosis_create(actor=clinician, upload=upload)
    diagnosis_assign(actor=clinician, diagnosis=again, specimen=specimen)
    assert diagnoses_held(specimen, [field.upload_sha256]) == [again]
    assert diagnosis_create(actor=clinician, upload=upload, specimen=specimen) == (again, False)
    third, _ = diagnosis_create(actor=clinician, upload=upload)
    with pytest.raises(AlreadyHeldError):
        diagnosis_assign(actor=clinician, diagnosis=third, specimen=specimen)


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


INSERT = (
    "INSERT INTO diagnosis_withdrawal (diagnosis_id, author_id, reason, created_at) "
    "SELECT d.id, d.created_by_id, 'Late.', d.created_at FROM diagnosis_diagnosis d"
)


def test_the_database_withdraws_nothing_from_a_signed_case(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    case = read_case(clinician, specimen)
    sign(clinician, case)
    with pytest.raises(DatabaseError, match="needs_amendment"):
        execute(INSERT)
    signoff.case_amend(actor=clinician, case=case, reason="A field is of another patient.")
    execute(INSERT)


def test_the_database_leaves_a_withdrawn_field_alone(case: Case, clinician: User) -> None:
    field = create_field(clinician, smear_jpeg(7))
    withdraw(clinician, field)
    withdraw(clinician, Diagnosis.objects.filter(specimen=case.specimen).first())
    for statement, why in (
        ("UPDATE diagnosis_withdrawal SET reason = 'None.'", "is history"),
        ("DELETE FROM diagnosis_withdrawal", "is history"),
        (f"UPDATE diagnosis_diagnosis SET specimen_id = {case.specimen_id}", "is history"),
        (
            "INSERT INTO diagnosis_review (diagnosis_id, reviewer_id, verdict, label, reason,"
            " blinded, created_at) SELECT diagnosis_id, author_id, 'unusable', '', 'x', 0,"
            " created_at FROM diagnosis_withdrawal",
            "is history.*withdrawn",
        ),
    ):
        with pytest.raises(DatabaseError, match=why):
            execute(statement)
    assert Withdrawal.objects.count() == 2
    assert not Report.objects.exists()
