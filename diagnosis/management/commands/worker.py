"""``manage.py worker``: runs queued work, whichever queue it is, with the sweep beside it."""

import contextlib
import logging
import threading
import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from diagnosis.fields.queue import sweep, sweep_shadow
from webapp.telemetry import metrics, tracing
from webapp.unavailable import trouble_of

logger = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0
KEEP_RESULTS = timedelta(days=1)
PRUNE_EVERY_S = 3600.0
DATABASE_PAUSE_S = 2.0  # until a database that was away or busy is asked again


class Command(BaseCommand):
    """One worker; any number may run, on any number of machines."""

    help = "Run background work, and sweep up diagnoses that were left waiting."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--batch`` and ``--interval``."""
        parser.add_argument("--batch", action="store_true", help="do what is there, then exit")
        parser.add_argument(
            "--interval",
            type=float,
            default=1.0,
            help="seconds between two looks at an empty queue in the database",
        )
        parser.add_argument(
            "--sweep-interval",
            type=float,
            default=SWEEP_EVERY_S,
            help="seconds between two looks for what the queue has lost",
        )

    def handle(
        self, *, batch: bool, interval: float, sweep_interval: float, **options: Any
    ) -> None:
        """Sweep from a daemon thread while the worker runs in this one."""
        metrics.serve_alone(settings.METRICS_PORT)
        tracing.start(settings.TRACES_URL, "leukemia-worker")
        stop = threading.Event()
        if batch:
            sweep()
            sweep_shadow()
        else:
            threading.Thread(target=_sweep_until, args=(stop, sweep_interval), daemon=True).start()
        try:
            if settings.QUEUE_URL == "database:":
                _work_on_database(batch, interval)
            else:
                _work_on_redis(batch)
        finally:
            stop.set()


def _work_on_database(batch: bool, interval: float) -> None:
    """A database that is locked, restarted or away costs a task, never the worker: the rows it
    leaves ``received`` are found again by the sweep."""
    while True:
        try:
            call_command(
                "db_worker",
                batch=batch,
                interval=interval,
                startup_delay=not batch,
                reload=False,
                skip_checks=True,
            )
            return
        except DatabaseError as error:
            _drop_connection()
            if batch:
                raise CommandError("The database does not answer; run it again later.") from error
            logger.warning("The worker could not reach the database: %s", _named(error))
            time.sleep(DATABASE_PAUSE_S)


def _drop_connection() -> None:
    """So that the next query makes a new one; the old one may be in the middle of something."""
    with contextlib.suppress(DatabaseError):
        connection.close()


def _named(error: DatabaseError) -> str:
    """What the error means; its text may quote what was written."""
    trouble = trouble_of(error)
    return trouble.code if trouble else type(error).__name__


def _work_on_redis(batch: bool) -> None:
    """In this very process: a fork for every job would load the model anew each time."""
    import django_rq
    from django_tasks_rq.backend import Job
    from redis.exceptions import RedisError
    from rq.worker import SimpleWorker

    class Worker(SimpleWorker):
        """Looks at its database connection before each job, as Django does for each request."""

        def perform_job(self, *args: Any, **kwargs: Any) -> bool:
            close_old_connections()
            return bool(super().perform_job(*args, **kwargs))

    queue = django_rq.get_queue("default", job_class=Job)
    while True:
        try:
            worker = Worker([queue], connection=queue.connection, job_class=Job)
            worker.work(burst=batch, logging_level="WARNING")
            return
        except RedisError as error:  # the sweep goes on without it
            if batch:
                raise CommandError(
                    f"The Redis server of QUEUE_URL does not answer: {error}"
                ) from error
            logger.warning("The task queue is away: %s", type(error).__name__)
            time.sleep(SWEEP_EVERY_S)
        except DatabaseError as error:
            _drop_connection()
            if batch:
                raise CommandError("The database does not answer; run it again later.") from error
            logger.warning("The worker could not reach the database: %s", _named(error))
            time.sleep(DATABASE_PAUSE_S)


def _sweep_until(stop: threading.Event, every_s: float) -> None:
    since_prune = PRUNE_EVERY_S
    while not stop.wait(every_s):
        close_old_connections()
        since_prune += every_s
        try:
            sweep()
            sweep_shadow()
            if settings.QUEUE_URL == "database:" and since_prune >= PRUNE_EVERY_S:
                since_prune = 0.0
                call_command(
                    "prune_db_task_results", min_age_days=KEEP_RESULTS.days, skip_checks=True
                )
        except DatabaseError as error:  # the next round tries again
            _drop_connection()
            logger.warning("The sweep could not reach the database: %s", _named(error))
        except Exception:  # a fault of ours must not end the sweep for good
            logger.exception("The sweep failed.")
