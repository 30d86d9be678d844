"""What was signed stays, whichever way somebody tries around it."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from diagnosis.cases.services import case_assign, case_prioritise, review_create
from diagnosis.core.state import CaseStatus, Verdict
from diagnosis.models import (
    Amendment,
    Case,
    Conclusion,
    Diagnosis,
    Priority,
    ReadOnlyResultError,
    Report,
    Review,
    Signature,
)
from diagnosis.signing import services as signoff
from patients.models import Specimen
from tests.diagnosis.killed.steps import create_field
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from tests.diagnosis.made.signing import add_fields, read_case, sign
from webapp.audit.append_only import AppendOnlyError

pytestmark = pytest.mark.django_db
RECORDS = (Conclusion, Signature, Report, Amendment)


@pytest.fixture
def case(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Case:
    """A case that was signed, opened again and is signed anew."""
    case = read_case(clinician, specimen)
    sign(clinician, case)
    signoff.case_amend(actor=clinician, case=case, reason="The comment was missing.")
    sign(clinician, case, comment="Blasts.")
    return Case.objects.get()


def everything() -> list[object]:
    models = (Case, Diagnosis, Review, *RECORDS)
    return [list(model.objects.order_by("pk").values()) for model in models]


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("model", RECORDS)
@pytest.mark.parametrize(
    "attempt",
    [
        lambda rows: rows.update(id=9),
        lambda rows: rows.delete(),
        lambda rows: rows.bulk_update(list(rows), ["id"]),
        lambda rows: rows.bulk_create(
            list(rows), update_conflicts=True, update_fields=["id"], unique_fields=["id"]
        ),
        lambda rows: rows.first().save(),
        lambda rows: rows.first().delete(),
    ],
    ids=["update", "delete", "bulk_update", "bulk_create", "save", "delete one"],
)
def test_the_orm_changes_no_record_of_signing(
    case: Case, model: type[Report], attempt: Callable[..., object]
) -> None:
    before = everything()
    assert model.objects.exists()
    with pytest.raises(AppendOnlyError):
        attempt(model.objects.all())
    assert everything() == before


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: Case.objects.update(status="new"),
        lambda: Case.objects.update(closed=0),
        lambda: Case.objects.all().delete(),
        lambda: Case.objects.get().delete(),
        lambda: Case.objects.all().move(CaseStatus.SIGNED, CaseStatus.IN_REVIEW),
        lambda: Case.objects.all().move(CaseStatus.AMENDED, CaseStatus.NEW),
    ],
    ids=["update", "reopen", "delete", "delete one", "move back", "move to new"],
)
def test_the_orm_takes_no_case_back(case: Case, attempt: Callable[[], object]) -> None:
    before = everything()
    with pytest.raises(ReadOnlyResultError):
        attempt()
    assert everything() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE diagnosis_report SET content = '{}'",
        "UPDATE diagnosis_report SET pdf_sha256 = pdf_sha256",
        "DELETE FROM diagnosis_report",
        "UPDATE diagnosis_signature SET printed_name = 'Another'",
        "DELETE FROM diagnosis_signature",
        "UPDATE diagnosis_conclusion SET headline = 'not_suspicious'",
        "DELETE FROM diagnosis_conclusion",
        "UPDATE diagnosis_amendment SET reason = 'None.'",
        "DELETE FROM diagnosis_amendment",
        "DELETE FROM diagnosis_case",
        "UPDATE diagnosis_case SET status = 'in_review', closed = 0",
        "UPDATE diagnosis_case SET closed = 0",
        "UPDATE diagnosis_case SET headline = 'not_suspicious'",
        "UPDATE diagnosis_case SET rule = 'all_not_suspicious'",
        "UPDATE diagnosis_case SET calm = 1",
        "UPDATE diagnosis_case SET suspicious = 0, not_suspicious = 2, headline = 'not_suspicious'",
        "UPDATE diagnosis_case SET reviewed = 0",
        "UPDATE diagnosis_case SET created_at = '2001-01-01'",
        "UPDATE diagnosis_case SET specimen_id = specimen_id + 1",
        "UPDATE diagnosis_diagnosis SET specimen_id = NULL",
        "UPDATE diagnosis_diagnosis SET specimen_id = specimen_id + 1",
        "UPDATE diagnosis_diagnosis SET specimen_id = NULL, intake_key = id",
        "UPDATE diagnosis_diagnosis SET intake_key = id",
        "UPDATE diagnosis_diagnosis SET created_at = '2001-01-01'",
        "UPDATE diagnosis_diagnosis SET created_by_id = NULL",
        "UPDATE diagnosis_diagnosis SET file_name = 'another.jpg'",
        "UPDATE diagnosis_diagnosis SET upload_sha256 = 'another'",
        "UPDATE diagnosis_diagnosis SET media_type = 'image/png'",
        "UPDATE diagnosis_diagnosis SET width = 1",
        "INSERT INTO diagnosis_signature (case_id, signer_id, printed_name, meaning,"
        " content_sha256, signed_at) SELECT case_id, author_id, 'Another', 'review', 'x',"
        " created_at FROM diagnosis_conclusion",
        "INSERT INTO diagnosis_conclusion (case_id, author_id, headline, comment, reason,"
        " created_at) SELECT case_id, author_id, 'not_suspicious', '', '', created_at"
        " FROM diagnosis_conclusion",
        "INSERT INTO diagnosis_report (case_id, number, content, content_sha256, pdf_name,"
        " pdf_sha256, created_at) SELECT case_id, 9, content, content_sha256, pdf_name,"
        " pdf_sha256, created_at FROM diagnosis_report WHERE number = 1",
        "INSERT INTO diagnosis_review (diagnosis_id, reviewer_id, verdict, label, reason, blinded,"
        " created_at) SELECT diagnosis_id, reviewer_id, 'unusable', '', 'Late.', 0, created_at"
        " FROM diagnosis_review",
    ],
)
def test_the_database_refuses_raw_sql_on_a_signed_case(case: Case, statement: str) -> None:
    before = everything()
    with pytest.raises(DatabaseError, match="is history"):
        execute(statement)
    assert everything() == before


def test_bulk_insertion_brings_no_reading_into_a_signed_case(case: Case, clinician: User) -> None:
    field = Diagnosis.objects.first()
    late = Review(diagnosis=field, reviewer=clinician, verdict=Verdict.UNUSABLE, reason="Late.")
    before = everything()
    with pytest.raises(DatabaseError, match="needs_amendment"), transaction.atomic():
        Review.objects.bulk_create([late])
    assert everything() == before


def test_a_field_waits_unassigned_as_it_was_uploaded(clinician: User) -> None:
    create_field(clinician, smear_jpeg(1))
    before = everything()
    for change in ("intake_key = id", "file_name = 'x'", "created_at = '2001-01-01'", "height = 1"):
        with pytest.raises(DatabaseError, match="is history"):
            execute(f"UPDATE diagnosis_diagnosis SET {change}")
    assert everything() == before


def test_a_closed_case_is_still_given_to_people(case: Case, clinician: User) -> None:
    case_assign(actor=clinician, case=case, assignee=clinician)
    case_prioritise(actor=clinician, case=case, priority=Priority.STAT)
    add_fields(clinician, case.specimen, 1)
    assert Case.objects.get().suspicious == 3


def made_up_report(case: Case, **values: object) -> Report:
    said = {"number": 1, "content": "{}", "content_sha256": "0" * 64, "pdf_name": "none"}
    return Report(case=case, **{**said, **values})


def test_no_report_is_made_up_without_a_signature(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    case = read_case(clinician, specimen)
    with pytest.raises(DatabaseError, match="needs_signature"), transaction.atomic():
        Report.objects.bulk_create([made_up_report(case)])
    with pytest.raises(DatabaseError, match="needs_report"):
        execute("UPDATE diagnosis_case SET status = 'signed', closed = 1")
    with pytest.raises(DatabaseError, match="needs_report"), transaction.atomic():
        Case.objects.filter(pk=case.pk).move(CaseStatus.IN_REVIEW, CaseStatus.SIGNED)
    assert Case.objects.get().status == CaseStatus.IN_REVIEW


def test_no_report_is_made_while_a_field_is_unread(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    case = read_case(clinician, specimen)
    add_fields(clinician, specimen, 1)
    Signature.objects.create(
        case=case, signer=clinician, printed_name="A", meaning="review", content_sha256="0" * 64
    )
    with pytest.raises(DatabaseError, match="needs_every_field_read"), transaction.atomic():
        made_up_report(case).save()
    review_create(actor=clinician, diagnosis=Diagnosis.objects.latest("id"), verdict=Verdict.AGREE)
    made_up_report(case).save()


def test_no_case_begins_as_signed(specimen: Specimen) -> None:
    with pytest.raises(DatabaseError, match="begins_unsigned"), transaction.atomic():
        Case.objects.create(specimen=specimen, status=CaseStatus.SIGNED)


@pytest.mark.parametrize("model", [Case, Review, *RECORDS])
def test_admin_changes_and_deletes_nothing(
    case: Case, client: Client, administrator: User, model: type[Report]
) -> None:
    client.force_login(administrator)
    row = model.objects.first()
    assert row
    name = f"admin:diagnosis_{model._meta.model_name}"
    before = everything()
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200
    for address in (
        reverse(f"{name}_add"),
        reverse(f"{name}_change", args=[row.pk]),
        reverse(f"{name}_delete", args=[row.pk]),
    ):
        assert client.post(address, {"reason": "x"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    client.post(reverse(f"{name}_changelist"), chosen)
    assert everything() == before


def test_the_api_changes_nothing_of_a_signed_case(case: Case, administrator: User) -> None:
    api = APIClient()
    api.force_authenticate(administrator)
    before = everything()
    fields = list(Diagnosis.objects.values())
    for field in Diagnosis.objects.all():
        for method in (api.put, api.patch, api.delete, api.post):
            body = {"outcome": "not_suspicious", "status": "received", "specimen": "S-1"}
            answer = method(f"/api/diagnoses/{field.pk}", body, format="json")
            assert answer.status_code in (400, 405, 409), answer.content
    assert api.delete("/api/specimens/S-1").status_code == 409
    assert everything() == before
    assert list(Diagnosis.objects.values()) == fields
