"""Workers as processes, on both queues: of each field exactly one result, and the right one."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from pytest_django import Settings

from diagnosis.core import pipeline
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.state import Status
from diagnosis.management.commands.worker import SWEEP_EVERY_S
from diagnosis.models import Diagnosis
from tests.diagnosis.killed.deferred_uploads import send, upload, write_uploads
from tests.diagnosis.killed.forked import started_in_fork
from tests.product import ROOT
from tests.servers.mariadb import free_port
from tests.servers.redis import redis
from tests.waiting import WITHIN_S, wait_until
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


class Site:
    """A database, a queue and the workers of a test."""

    def __init__(self, database: str, media: Path, queue_url: str) -> None:
        self._database, self._media, self._queue_url = database, media, queue_url
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database,
            "MEDIA_ROOT": str(media),
            "QUEUE_URL": queue_url,
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self._forks: list[BaseProcess] = []
        self._log = media.parent / "workers.log"
        User.objects.create_user("sender")

    def send(self, count: int, first: int = 0) -> None:
        """Fields come in; by Redis, which these settings do not name, in another process."""
        folder = self._media.parent
        write_uploads(folder, first, count)
        if self._queue_url == "database:":
            send(folder, first, count)
        else:
            what = (str(folder), str(first), str(count))
            self._run("-m", "tests.diagnosis.killed.deferred_uploads", *what)

    def fork_worker(self, sweep_interval: float = SWEEP_EVERY_S) -> Callable[[], None]:
        """Start a worker, on the database's queue from a process that has loaded the product.

        Returns:
            What kills it, and waits until it is gone.
        """
        if self._queue_url != "database:":
            worker = self.start_worker(f"--sweep-interval={sweep_interval}")
            return lambda: ended(worker)
        settings = {"MEDIA_ROOT": str(self._media)}
        fork = started_in_fork(work, sweep_interval, database=self._database, **settings)
        self._forks.append(fork)
        return lambda: fork_ended(fork)

    def start_worker(self, *options: str, log: bool = False) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "worker", "--interval=0.05", *options]
        with self._log.open("ab") as file:
            said = file if log else None
            worker = subprocess.Popen(command, cwd=ROOT, env=self.environment, stderr=said)
        self.workers.append(worker)
        return worker

    def log(self) -> str:
        """What the workers have said that were started with ``log``."""
        return self._log.read_text()

    def work_off(self) -> None:
        self._run("manage.py", "worker", "--batch")

    def stop(self) -> None:
        for worker in self.workers:
            ended(worker)
        for fork in self._forks:
            fork_ended(fork)

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, timeout=WITHIN_S)


def ended(worker: subprocess.Popen[bytes]) -> None:
    """Kill it, and wait until it is gone."""
    worker.kill()
    worker.wait()


def fork_ended(fork: BaseProcess) -> None:
    """As ``ended``."""
    fork.kill()
    fork.join()


def work(sweep_interval: float) -> None:
    """A worker, in this process."""
    call_command("worker", interval=0.05, sweep_interval=sweep_interval)


@pytest.fixture(params=["database", "redis"])
def site(
    request: pytest.FixtureRequest, shared_database: str, settings: Settings, tmp_path: Path
) -> Iterator[Site]:
    if request.param == "redis" and connection.vendor == "sqlite":
        pytest.skip("Redis stands beside a database server: both queues are tested on MariaDB")
    with ExitStack() as stack:
        queue_url = "database:"
        if request.param == "redis":
            queue_url = stack.enter_context(redis(tmp_path))
        site = Site(shared_database, Path(settings.MEDIA_ROOT), queue_url)
        stack.callback(site.stop)
        yield site


def finished(count: int) -> Callable[[], bool]:
    return lambda: Diagnosis.objects.exclude(status=Status.RECEIVED).count() == count


@cache
def expected_of(published_dir: Path) -> tuple[tuple[str, ...], list[pipeline.Outcome]]:
    """The model's labels, and its answers to the eight drawings."""
    predictor = EmbeddedPredictor(published_dir)
    contract = predictor.contract
    found = [pipeline.screen(upload(number), contract, predictor) for number in range(8)]
    return contract.labels, found


def assert_each_has_its_one_result(count: int, published_dir: Path) -> None:
    """None lost, none doubled, none wrong."""
    labels, expected = expected_of(published_dir)
    rows = list(Diagnosis.objects.order_by("id"))
    assert len(rows) == count
    by_image = {row.image_sha256: number for number, row in enumerate(rows[:8])}
    for row in rows:
        outcome = expected[by_image[row.image_sha256]]
        assert row.outcome == outcome.headline
        assert row.predicted_class == outcome.predicted_class
        if outcome.prediction:
            # By label: MySQL's JSON keeps its keys in an order of its own.
            probabilities = [row.probabilities[label] for label in labels]
            assert probabilities == pytest.approx(outcome.prediction.probabilities, abs=1e-6)
    events = AuditEvent.objects.filter(action__in=["diagnosis.screened", "diagnosis.refused"])
    assert sorted(int(found) for found in events.values_list("target_id", flat=True)) == [
        row.pk for row in rows
    ]


def test_two_workers_share_the_work(site: Site, published_dir: Path) -> None:
    for _ in range(2):
        site.fork_worker(sweep_interval=60)
    site.send(40)
    wait_until(finished(40))
    assert_each_has_its_one_result(40, published_dir)


def test_what_is_queued_is_worked_off_and_the_worker_ends(site: Site, published_dir: Path) -> None:
    site.send(20)
    site.work_off()
    assert_each_has_its_one_result(20, published_dir)


def test_a_worker_that_is_killed_loses_nothing(site: Site, published_dir: Path) -> None:
    site.send(64)
    kill = site.fork_worker()
    wait_until(lambda: Diagnosis.objects.exclude(status=Status.RECEIVED).exists())
    kill()
    done = Diagnosis.objects.exclude(status=Status.RECEIVED).count()
    assert done < 64, "it was killed too late to tell"
    # Its leases run out, and another worker takes over.
    past = timezone.now() - timedelta(minutes=5)
    Diagnosis.objects.filter(lease_until__isnull=False).update(lease_until=past)
    site.fork_worker(sweep_interval=0.2)
    wait_until(finished(64))
    assert_each_has_its_one_result(64, published_dir)


def test_a_worker_that_is_asked_to_end_finishes_its_batch(site: Site) -> None:
    site.send(32)
    worker = site.start_worker()
    wait_until(lambda: Diagnosis.objects.filter(lease_until__isnull=False).exists())
    worker.terminate()
    assert worker.wait(timeout=WITHIN_S) in (0, -signal.SIGTERM)


def test_a_worker_outlives_its_connections_to_the_database(site: Site, published_dir: Path) -> None:
    """The server ends them, as after a night without work or a restart."""
    if connection.vendor != "mysql":
        pytest.skip("SQLite has no server")
    site.fork_worker(sweep_interval=0.5)
    site.send(3)
    wait_until(finished(3))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist "
            "WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        others = [row[0] for row in cursor.fetchall()]
        assert others
        for number in others:
            with contextlib.suppress(DatabaseError):  # it may have ended by itself
                cursor.execute(f"KILL {int(number)}")
    site.send(3, first=3)
    wait_until(finished(6))
    assert_each_has_its_one_result(6, published_dir)


def test_a_worker_outlives_a_database_that_others_keep_locked(
    shared_database: str, settings: Settings, published_dir: Path
) -> None:
    """As a backup or a report by hand does; SQLite knows no lock of rows."""
    if connection.vendor != "sqlite":
        pytest.skip("a server has locks of rows; its connections are ended above")
    site = Site(shared_database, Path(settings.MEDIA_ROOT), "database:")
    site.environment["DJANGO_SETTINGS_MODULE"] = "tests.impatient_settings"
    try:
        site.send(3)
        name = connection.settings_dict["NAME"]
        with contextlib.closing(sqlite3.connect(name, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            worker = site.start_worker("--sweep-interval=0.2", log=True)
            wait_until(lambda: site.log().count("could not reach the database") >= 2)
            other.execute("ROLLBACK")
        wait_until(finished(3))
        assert worker.poll() is None
    finally:
        site.stop()
    assert_each_has_its_one_result(3, published_dir)


def test_without_its_queue_the_sweep_does_the_work(
    shared_database: str, settings: Settings, published_dir: Path
) -> None:
    """Redis is away when the fields come in, and stays away."""
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    site = Site(shared_database, Path(settings.MEDIA_ROOT), nobody)
    try:
        site.send(10)
        site.start_worker("--sweep-interval=0.2")
        wait_until(finished(10))
    finally:
        site.stop()
    assert_each_has_its_one_result(10, published_dir)


def test_a_queue_that_lost_its_tasks(
    shared_database: str, settings: Settings, tmp_path: Path, published_dir: Path
) -> None:
    """Redis forgets what it was told, and comes back under the worker's feet."""
    port = free_port()
    site = Site(shared_database, Path(settings.MEDIA_ROOT), f"redis://127.0.0.1:{port}/0")
    try:
        with redis(tmp_path, port):
            site.send(10)
        with redis(tmp_path, port):
            site.start_worker("--sweep-interval=0.2")
            wait_until(finished(10))
    finally:
        site.stop()
    assert_each_has_its_one_result(10, published_dir)
