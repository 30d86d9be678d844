"""A stored picture that is not what was stored is neither judged, read nor signed, and told of."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from diagnosis.cases.services import CaseError, agree_with_all, reading_create, review_create
from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.core.state import Verdict
from diagnosis.fields import screening
from diagnosis.fields.intake import diagnosis_create
from diagnosis.models import Case, Diagnosis, Report, Review
from diagnosis.signing.blockers import signing_blockers
from diagnosis.storage.images import DAMAGED, image_read
from diagnosis.storage.media import MediaDamagedError, media_is_sound, media_path, media_read
from patients.models import Specimen
from tests.diagnosis.killed.steps import actions_of, create_field, make_due, run_field
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from tests.diagnosis.made.signing import read_case, sign
from webapp.audit.models import AuditEvent
from webapp.telemetry.metrics import DAMAGED_FILES

pytestmark = pytest.mark.django_db


def swap(path: Path) -> None:
    path.write_bytes(smear_jpeg(99))


def flip_one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS = [swap, flip_one_bit, cut, empty, Path.unlink, put_a_folder]
Damage = Callable[[Path], None]
every_way = pytest.mark.parametrize("damage", WAYS, ids=lambda way: way.__name__)


def counted() -> float:
    return DAMAGED_FILES.labels("fields")._value.get()


@pytest.fixture
def case(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Case:
    for seed in (1, 2):  # two drawings, so two files
        run_field(create_field(clinician, smear_jpeg(seed), specimen))
    return Case.objects.get()


def damaged(case: Case, damage: Damage = swap) -> Diagnosis:
    """The newest field of ``case``, its file no longer what it was."""
    field = Diagnosis.objects.filter(specimen=case.specimen).latest("pk")
    assert media_is_sound(field.image_name, field.image_sha256)
    damage(media_path(field.image_name))
    return field


@every_way
def test_damage_is_refused_counted_logged_and_put_on_record_once(
    case: Case, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    field, before = damaged(case, damage), counted()
    for _ in range(2):
        with pytest.raises(MediaDamagedError), caplog.at_level(logging.ERROR):
            image_read(field)
    assert not media_is_sound(field.image_name, field.image_sha256)
    assert counted() == before + 2
    assert f"The image file of diagnosis {field.pk} " in caplog.text
    assert AuditEvent.objects.filter(action=DAMAGED, target_id=str(field.pk)).count() == 1


def test_damage_of_another_kind_is_put_on_record_again(case: Case) -> None:
    field = damaged(case, swap)
    for damage in (swap, cut):
        damage(media_path(field.image_name))
        with pytest.raises(MediaDamagedError):
            image_read(field)
    assert actions_of(field).count(DAMAGED) == 2


@every_way
def test_nobody_reads_a_damaged_field(case: Case, clinician: User, damage: Damage) -> None:
    field = damaged(case, damage)
    for attempt in (
        lambda: review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE),
        lambda: reading_create(actor=clinician, diagnosis=field, label="", reason="Blurred."),
        lambda: agree_with_all(actor=clinician, case=case),
    ):
        with pytest.raises(CaseError, match="field 2 is damaged or missing") as refused:
            attempt()
        assert refused.value.code == "image_damaged"
    assert not Review.objects.exists()
    assert DAMAGED in actions_of(field)


@every_way
def test_nobody_signs_a_case_with_a_damaged_field(
    case: Case, clinician: User, damage: Damage
) -> None:
    agree_with_all(actor=clinician, case=case)
    field = damaged(case, damage)
    case.refresh_from_db()
    (blocker,) = signing_blockers(case, clinician)
    assert "The stored image of field 2 is damaged or missing" in blocker
    with pytest.raises(CaseError) as refused:
        sign(clinician, case)
    assert refused.value.code == "image_damaged"
    assert not Report.objects.exists()
    assert DAMAGED in actions_of(field)


def test_signing_reads_the_files_whatever_was_found_before(
    case: Case, clinician: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages may trust a file's times; a signature does not."""
    agree_with_all(actor=clinician, case=case)
    damaged(case)
    monkeypatch.setattr("diagnosis.signing.blockers.damaged_of_specimen", lambda specimen: [])
    monkeypatch.setattr("diagnosis.storage.images.media_is_sound", lambda name, sha256: True)
    with pytest.raises(CaseError, match="field 2 is damaged"):
        sign(clinician, case)


def test_a_field_that_is_lost_for_good_is_withdrawn(case: Case, clinician: User) -> None:
    field = damaged(case, Path.unlink)
    field_withdraw(actor=clinician, diagnosis=field, reason="The file is lost.")
    agree_with_all(actor=clinician, case=Case.objects.get())
    assert sign(clinician, Case.objects.get())


def test_a_file_that_comes_back_is_read_again(case: Case, clinician: User) -> None:
    field = Diagnosis.objects.latest("pk")
    kept = media_path(field.image_name).read_bytes()
    damaged(case)
    assert not media_is_sound(field.image_name, field.image_sha256)
    media_path(field.image_name).write_bytes(kept)
    assert media_is_sound(field.image_name, field.image_sha256)
    assert agree_with_all(actor=clinician, case=case) == 2


@pytest.mark.parametrize(
    ("damage", "failure"),
    [(swap, "image_file_damaged"), (Path.unlink, "image_file_unreadable")],
)
def test_a_damaged_field_is_not_screened(
    clinician: User, predictor: FakePredictor, damage: Damage, failure: str
) -> None:
    field = create_field(clinician, smear_jpeg(3))
    damage(media_path(field.image_name))
    Diagnosis.objects.filter(pk=field.pk).update(attempts_max=2)
    for _ in range(2):
        screening.diagnosis_run(diagnosis_id=field.pk)
        make_due(field)
    field.refresh_from_db()
    assert (field.status, field.failure) == ("failed", failure)
    assert predictor.calls == 0
    assert actions_of(field).count(DAMAGED) == 1


def test_the_same_image_uploaded_elsewhere_mends_the_file(
    clinician: User, other_specimen: Specimen
) -> None:
    """Files are named by content, so a damaged one would be the new record's as well."""
    field = create_field(clinician, smear_jpeg(3))
    swap(media_path(field.image_name))
    other, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(3), specimen=other_specimen)
    assert other.image_name == field.image_name
    assert image_read(other)
    assert image_read(field)


def test_a_report_s_file_is_checked_in_the_same_way(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    report = sign(clinician, read_case(clinician, specimen))
    assert report
    before = DAMAGED_FILES.labels("reports")._value.get()
    flip_one_bit(media_path(report.pdf_name))
    with pytest.raises(MediaDamagedError, match="has changed"):
        media_read(report.pdf_name, report.pdf_sha256)
    assert DAMAGED_FILES.labels("reports")._value.get() == before + 1
