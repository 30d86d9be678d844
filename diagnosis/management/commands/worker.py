"""``manage.py worker``: django-tasks' database worker, with the sweep beside it."""

import logging
import threading
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django_tasks_db.management.commands import db_worker

from diagnosis.tasks import sweep
from webapp import metrics, tracing

logger = logging.getLogger(__name__)

SWEEP_EVERY_S = 10.0


class Command(db_worker.Command):
    """Runs queued work, and enqueues what a crash or an absent model left ``received``."""

    help = "Run background work, and sweep up diagnoses that were left waiting."

    def handle(self, **options: Any) -> None:
        """Sweep from a daemon thread while the worker runs in this one."""
        metrics.serve_alone(settings.METRICS_PORT)
        tracing.start(settings.TRACES_URL, "leukemia-worker")
        stop = threading.Event()
        if not options["batch"]:
            threading.Thread(target=_sweep_until, args=(stop,), daemon=True).start()
        else:
            sweep()
        try:
            super().handle(**options)
        finally:
            stop.set()


def _sweep_until(stop: threading.Event) -> None:
    while not stop.wait(SWEEP_EVERY_S):
        close_old_connections()
        try:
            sweep()
        except DatabaseError:  # the next round tries again
            logger.warning("The sweep could not reach the database.")
