"""Threads and one database: of many, exactly one."""

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection

from diagnosis.core.state import Status
from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.models import Diagnosis
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from tests.waiting import WITHIN_S
from webapp.audit.models import AuditEvent

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shared_database"),
]
CONTENDERS = 6


def _at_once(work: Callable[[], None]) -> None:
    """Run ``work`` in many threads that start together; what one raises is raised."""
    start = threading.Barrier(CONTENDERS)
    errors: list[BaseException] = []

    def contend() -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=contend) for _ in range(CONTENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WITHIN_S)
    if errors:
        raise errors[0]


def _received(upload: bytes) -> Diagnosis:
    actor, _ = User.objects.get_or_create(username="many")
    diagnosis, _ = services.diagnosis_create(actor=actor, upload=upload)
    return diagnosis


@pytest.mark.parametrize("seed", range(4))
def test_one_gets_the_lease(seed: int) -> None:
    diagnosis = _received(smear_jpeg(seed))
    attempts: list[int | None] = []
    _at_once(lambda: attempts.append(screening.diagnosis_lease(diagnosis_id=diagnosis.pk)))
    assert sorted(attempts, key=str) == [1] + [None] * (CONTENDERS - 1)
    diagnosis.refresh_from_db()
    assert diagnosis.attempts == 1


def test_one_upload_is_stored_once(smear: bytes) -> None:
    actor = User.objects.create_user("many")
    found: list[tuple[Diagnosis, bool]] = []
    _at_once(lambda: found.append(services.diagnosis_create(actor=actor, upload=smear)))
    assert len(found) == CONTENDERS
    assert len({diagnosis.pk for diagnosis, _ in found}) == 1
    assert sum(created for _, created in found) == 1
    assert Diagnosis.objects.count() == 1
    assert AuditEvent.objects.filter(action="diagnosis.received").count() == 1


def test_one_asks_the_model(smear: bytes, predictor: FakePredictor) -> None:
    diagnosis = _received(smear)
    _at_once(lambda: screening.diagnosis_run(diagnosis_id=diagnosis.pk) and None)
    diagnosis.refresh_from_db()
    assert diagnosis.status == Status.SCREENED
    assert predictor.calls == 1
    assert AuditEvent.objects.filter(action="diagnosis.screened").count() == 1


def test_different_uploads_do_not_hinder_each_other(predictor: FakePredictor) -> None:
    actor = User.objects.create_user("many")
    uploads = iter([smear_jpeg(seed) for seed in range(CONTENDERS)])

    def send() -> None:
        diagnosis, _ = services.diagnosis_create(actor=actor, upload=next(uploads))
        assert screening.diagnosis_run(diagnosis_id=diagnosis.pk).status == Status.SCREENED

    _at_once(send)
    assert Diagnosis.objects.filter(status=Status.SCREENED).count() == CONTENDERS


def test_sqlite_lets_readers_and_a_writer_work_at_once() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's own settings")
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (8_000,)
        assert cursor.execute("PRAGMA foreign_keys").fetchone() == (1,)
