"""``check_integrity`` finds what disagrees, ``clean_media`` what nobody refers to."""

import io
import os
import time
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection

from diagnosis.cases.services import review_create
from diagnosis.core.formats.decode import to_stored
from diagnosis.core.state import Status, Verdict
from diagnosis.fields.intake import diagnosis_assign, diagnosis_create
from diagnosis.fields.screening import diagnosis_fail, diagnosis_lease, diagnosis_run
from diagnosis.models import Diagnosis, Report
from diagnosis.models.triggers import history_protect
from diagnosis.operations import integrity
from diagnosis.operations.integrity import integrity_problems
from diagnosis.storage.media import media_path, media_write
from patients.models import Specimen
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from tests.diagnosis.reports.made import sign
from webapp.audit.triggers import triggers_drop, triggers_make

pytestmark = pytest.mark.django_db


@pytest.fixture
def diagnosis(clinician: User, predictor: FakePredictor) -> Diagnosis:
    row, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    return diagnosis_run(diagnosis_id=row.pk)


def _problem() -> str:
    (problem,) = integrity_problems()
    return problem


@pytest.fixture
def report(diagnosis: Diagnosis, specimen: Specimen, clinician: User) -> Report:
    """Of a case with one field."""
    diagnosis_assign(actor=clinician, diagnosis=diagnosis, specimen=specimen)
    review_create(actor=clinician, diagnosis=diagnosis, verdict=Verdict.AGREE)
    signed = sign(clinician, specimen)
    assert signed
    return signed


def _age(name: str) -> None:
    """As if the file had been touched an hour ago."""
    os.utime(media_path(name), (time.time() - 3600,) * 2)


def _behind_the_model_s_back(sql: str) -> None:
    """As somebody may who has the database's administrator in hand."""
    triggers_drop()
    with connection.cursor() as cursor:
        cursor.execute(sql)
    triggers_make(apps.get_app_config("audit"))
    history_protect()


def test_all_well(diagnosis: Diagnosis) -> None:
    out = io.StringIO()
    call_command("check_integrity", stdout=out)
    assert out.getvalue() == "1 diagnoses checked, all agree\n"


@pytest.mark.django_db(transaction=True)
def test_history_that_the_database_no_longer_protects() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER history_diagnosis_review_delete")
    assert _problem().startswith("trigger history_diagnosis_review_delete: is missing")


@pytest.mark.parametrize("hook", ["_events", "_events_without_row", "is_referred_to"])
def test_an_upload_at_any_moment_is_no_problem(
    hook: str,
    diagnosis: Diagnosis,
    clinician: User,
    predictor: FakePredictor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The product works between two steps of the check; old files are taken up again as well."""
    waiting, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(2))
    stray, _ = media_write(to_stored(smear_jpeg(3)))
    _age(stray)
    real = getattr(integrity, hook)
    uploads = iter((smear_jpeg(3), smear_jpeg(4)))

    def meanwhile(*args: Any) -> Any:
        if upload := next(uploads, None):
            found, _ = diagnosis_create(actor=clinician, upload=upload)
            diagnosis_run(diagnosis_id=found.pk)
            diagnosis_run(diagnosis_id=waiting.pk)
        return real(*args)

    monkeypatch.setattr(integrity, hook, meanwhile)
    assert list(integrity_problems()) == []
    assert Diagnosis.objects.count() >= 3


def test_a_file_that_clean_media_holds_for_a_moment_is_no_problem(
    diagnosis: Diagnosis, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media_path(diagnosis.image_name)
    aside = path.with_name(".removing-x")
    path.rename(aside)
    monkeypatch.setattr(
        "diagnosis.operations.integrity.time.sleep", lambda seconds: aside.rename(path)
    )
    assert list(integrity_problems()) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("closed = 0", "is open, its reports say otherwise"),
        ("status = 'in_review', closed = 0", "is in_review, and has a report"),
        ("headline = 'not_suspicious'", "its headline is not what its fields say"),
        ("suspicious = 0, not_suspicious = 1", "its headline is not what its fields say"),
    ],
)
def test_a_case_that_is_not_what_it_was_signed_as(
    report: Report, change: str, problem: str
) -> None:
    _behind_the_model_s_back(f"UPDATE diagnosis_case SET {change}")
    assert f"case {report.case_id}: {problem}" in list(integrity_problems())


def test_an_empty_site_is_well(db: None) -> None:
    assert list(integrity_problems()) == []


def test_every_status_is_well(
    diagnosis: Diagnosis, clinician: User, predictor: FakePredictor, document: bytes
) -> None:
    refused, _ = diagnosis_create(actor=clinician, upload=document)
    diagnosis_run(diagnosis_id=refused.pk)
    failed, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(2))
    attempt = diagnosis_lease(diagnosis_id=failed.pk)
    assert attempt
    diagnosis_fail(diagnosis=failed, attempt=attempt, failure="gave_up")
    diagnosis_create(actor=clinician, upload=smear_jpeg(3))
    assert set(Diagnosis.objects.values_list("status", flat=True)) == set(Status)
    assert list(integrity_problems()) == []


def test_a_changed_file(diagnosis: Diagnosis) -> None:
    path = media_path(diagnosis.image_name)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert _problem() == (
        f"diagnosis {diagnosis.pk}: its image file has changed since it was stored"
    )


def test_a_missing_file(diagnosis: Diagnosis) -> None:
    media_path(diagnosis.image_name).unlink()
    assert _problem().startswith(f"diagnosis {diagnosis.pk}: its image file is unreadable (No such")


def test_a_file_without_row(diagnosis: Diagnosis) -> None:
    media_path("fields/00").mkdir()
    media_path("fields/00/stray.jpg").write_bytes(b"")
    assert list(integrity_problems()) == [], "an upload may be about to write its row"
    _age("fields/00/stray.jpg")
    assert _problem().startswith("file fields/00/stray.jpg: no record refers to it")


@pytest.mark.django_db(transaction=True)  # MySQL commits whatever comes before a trigger goes
@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("DELETE FROM audit_auditevent", "the audit trail does not say that it was received"),
        (
            "DELETE FROM audit_auditevent WHERE action = 'diagnosis.screened'",
            "is screened, the audit trail ends with received",
        ),
        (
            "UPDATE diagnosis_diagnosis SET status = 'failed', outcome = NULL,"
            " predicted_class = NULL, confidence = NULL",
            "is failed, the audit trail ends with screened",
        ),
        (
            "INSERT INTO audit_auditevent (at, action, target_type, target_id, detail, request_id)"
            " SELECT at, action, target_type, target_id, detail, request_id FROM audit_auditevent"
            " WHERE action = 'diagnosis.screened'",
            "the audit trail holds 2 results",
        ),
        ("DELETE FROM diagnosis_diagnosis", "is in the audit trail, its row is gone"),
    ],
)
def test_what_somebody_changed_in_the_database(
    diagnosis: Diagnosis, sql: str, problem: str
) -> None:
    _behind_the_model_s_back(sql)
    found = [line for line in integrity_problems() if not line.startswith("file ")]
    assert found == [f"diagnosis {diagnosis.pk}: {problem}"]


def test_a_signed_case_is_well(report: Report) -> None:
    assert list(integrity_problems()) == []


def test_a_report_whose_pdf_has_changed(report: Report) -> None:
    path = media_path(report.pdf_name)
    path.write_bytes(path.read_bytes() + b"\n")
    assert _problem() == (
        f"report 1 of case {report.case_id}: its PDF has changed since it was stored"
    )


def test_a_report_whose_pdf_is_missing(report: Report) -> None:
    media_path(report.pdf_name).unlink()
    assert _problem().startswith(
        f"report 1 of case {report.case_id}: its PDF is unreadable (No such"
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        (
            "UPDATE diagnosis_report SET content = REPLACE(content, 'suspicious', 'harmless')",
            "its content has changed since it was signed",
        ),
        ("DELETE FROM diagnosis_signature", "nobody's signature stands under its content"),
        (
            "DELETE FROM audit_auditevent WHERE action = 'case.signed'",
            "the audit trail does not say that it was signed",
        ),
        (
            "UPDATE diagnosis_report SET number = 2",
            "the audit trail does not say that it was signed",
        ),
    ],
)
def test_what_somebody_changed_of_a_report(report: Report, sql: str, problem: str) -> None:
    _behind_the_model_s_back(sql)
    (found,) = integrity_problems()
    assert found.startswith("report ")
    assert found.endswith(f" of case {report.case_id}: {problem}")


@pytest.mark.django_db(transaction=True)
def test_it_says_how_many_and_exits_with_1(diagnosis: Diagnosis) -> None:
    media_path(diagnosis.image_name).unlink()
    _behind_the_model_s_back("DELETE FROM audit_auditevent")
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 problems found") as caught:
        call_command("check_integrity", stdout=out)
    assert caught.value.returncode == 1
    assert len(out.getvalue().splitlines()) == 2


def test_many_rows_are_read_in_batches(
    clinician: User, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.operations.integrity.BATCH", 2)
    rows = [diagnosis_create(actor=clinician, upload=smear_jpeg(seed))[0] for seed in range(5)]
    assert list(integrity_problems()) == []
    media_path(rows[4].image_name).unlink()
    assert _problem().startswith(f"diagnosis {rows[4].pk}:")
