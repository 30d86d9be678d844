"""An upload can be cut at any point: no row without its file, and every row finished once."""

import io
import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from diagnosis.core.state import Status
from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.selectors import diagnoses_due
from diagnosis.models import Diagnosis
from diagnosis.storage.media import media_path, media_remove
from tests.clock import clock_shifted
from tests.diagnosis.killed import upload as killed_upload
from tests.diagnosis.killed import worker as killed_worker
from tests.diagnosis.killed.forked import killed_in
from tests.diagnosis.killed.upload import STEPS
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from webapp.audit.models import AuditEvent

FIRST_WITH_ROW = STEPS.index("after the commit")


def _command(*args: str) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def _files() -> list[str]:
    root = media_path("fields")
    return [path.name for path in root.rglob("*") if path.is_file()]


def _work_later() -> None:
    """The worker finds all leases run out, and no row is fresh any more."""
    with clock_shifted(timedelta(minutes=5)):
        _command("worker", "--batch")
        _command("worker", "--batch")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", STEPS)
def test_an_upload_killed_at_any_step_loses_nothing(
    step: str, shared_database: str, settings: Settings, tmp_path: Path, predictor: FakePredictor
) -> None:
    User.objects.create_user("sender")
    upload = tmp_path / "upload.jpg"
    upload.write_bytes(smear_jpeg())
    killed_in(
        killed_upload.main, step, upload, database=shared_database, MEDIA_ROOT=settings.MEDIA_ROOT
    )

    # A row has its file, whole; a file without row is found, and goes when told.
    number = STEPS.index(step)
    rows = list(Diagnosis.objects.all())
    assert len(rows) == (number >= FIRST_WITH_ROW)
    assert len(_files()) == (number >= 1)
    for row in rows:
        assert row.status == Status.RECEIVED
        assert media_path(row.image_name).is_file()
        assert "0 stray files found" in _command("clean_media", "--older-than", "0")
        assert "all agree" in _command("check_integrity")
    if number >= 1 and not rows:
        assert "1 stray file found" in _command("clean_media", "--older-than", "0")
        assert "all agree" in _command("check_integrity"), "its upload may still run"
        with pytest.MonkeyPatch.context() as later:
            later.setattr("diagnosis.operations.integrity.UPLOAD_ENDS_S", 0.0)
            with pytest.raises(CommandError, match="1 problem found"):
                _command("check_integrity")
        assert "0 stray files" in _command("clean_media", "--delete"), "too young to go"
        assert "1 stray file removed" in _command("clean_media", "--older-than", "0", "--delete")
        assert not _files()
    assert "all agree" in _command("check_integrity")

    # Whoever finds the row later finishes it, once.
    _work_later()
    assert predictor.calls == len(rows)
    for row in rows:
        row.refresh_from_db()
        assert row.status == Status.SCREENED
        assert row.attempts == (2 if number > FIRST_WITH_ROW else 1)
    finished = AuditEvent.objects.filter(action="diagnosis.screened")
    assert finished.count() == len(rows)
    assert "all agree" in _command("check_integrity")

    # And sending it again is as if nothing had happened.
    diagnosis, created = diagnosis_create(
        actor=User.objects.get(username="sender"), upload=upload.read_bytes()
    )
    assert created is not bool(rows)
    assert media_path(diagnosis.image_name).is_file()
    assert Diagnosis.objects.count() == 1
    assert "all agree" in _command("check_integrity")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", killed_worker.STEPS)
def test_a_worker_killed_at_any_step_loses_nothing(
    step: str, shared_database: str, settings: Settings, predictor: FakePredictor
) -> None:
    sender = User.objects.create_user("sender")
    rows = [
        diagnosis_create(actor=sender, upload=smear_jpeg(seed), deferred=True)[0]
        for seed in range(4)
    ]
    killed_in(
        killed_worker.main,
        step,
        len(rows),
        database=shared_database,
        MEDIA_ROOT=settings.MEDIA_ROOT,
    )
    finished = {"after the first result": 1, "before the last result": len(rows) - 1}.get(step, 0)
    assert Diagnosis.objects.filter(status=Status.SCREENED).count() == finished
    assert "all agree" in _command("check_integrity")

    _work_later()
    events = AuditEvent.objects.filter(action="diagnosis.screened")
    assert sorted(int(event.target_id) for event in events) == [row.pk for row in rows]
    assert not Diagnosis.objects.exclude(status=Status.SCREENED).exists()
    assert "all agree" in _command("check_integrity")


@pytest.mark.django_db(transaction=True)  # the worker closes connections as it goes
def test_fresh_and_postponed_and_leased_fields_are_left_alone_by_the_sweep(
    clinician: User, predictor: FakePredictor
) -> None:
    with clock_shifted(-timedelta(hours=1)):
        postponed, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(2))
        leased, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(3))
        due, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(4))
    diagnosis_create(actor=clinician, upload=smear_jpeg(1))
    later = timezone.now() + timedelta(hours=1)
    Diagnosis.objects.filter(pk=postponed.pk).update(next_attempt_at=later)
    Diagnosis.objects.filter(pk=leased.pk).update(lease_until=later)
    assert diagnoses_due() == [due.pk]
    _command("worker", "--batch")
    screened = Diagnosis.objects.filter(status=Status.SCREENED)
    assert [row.pk for row in screened] == [due.pk]


# --- clean_media against an upload at the same moment ------------------------------------


@pytest.mark.django_db
def test_a_file_whose_row_came_in_the_meantime_stays(
    clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    name = diagnosis.image_name
    assert not media_remove(name, is_referred_to=lambda found: found == name)
    assert media_path(name).is_file()
    assert len(_files()) == 1


@pytest.mark.django_db
def test_a_file_that_goes_before_the_row_is_committed_is_written_again(
    clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diagnosis.fields import intake as services

    record = services.audit_record

    def clean_up_now(**kwargs: object) -> object:
        (name,) = Diagnosis.objects.values_list("image_name", flat=True)
        assert media_remove(name, is_referred_to=lambda found: False), "the row is not visible yet"
        return record(**kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "audit_record", clean_up_now)
    diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    assert media_path(diagnosis.image_name).is_file()
    assert "all agree" in _command("check_integrity")


@pytest.mark.django_db
def test_a_removal_that_was_cut_is_taken_up_again(clinician: User) -> None:
    """Killed after the file stepped aside: the next run asks for the row under the old name."""
    diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    path = media_path(diagnosis.image_name)
    path.rename(path.with_name(f".removing-{path.name}"))
    assert "0 stray files removed" in _command("clean_media", "--older-than", "0", "--delete")
    assert path.is_file()
    assert "all agree" in _command("check_integrity")


@pytest.mark.django_db
def test_an_upload_protects_a_stray_of_the_same_content(clinician: User) -> None:
    diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    path = media_path(diagnosis.image_name)
    os.utime(path, (0, 0))
    diagnosis_create(actor=clinician, upload=smear_jpeg() + b"more")
    assert path.stat().st_mtime > 0
