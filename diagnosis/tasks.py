"""The tasks by the names that queues keep: ``diagnosis.tasks.…``."""

import logging

from django.contrib.auth.models import User
from django_tasks import task

from diagnosis.demonstration import drawn_cases as demonstration
from diagnosis.demonstration.guide import ORDERED
from diagnosis.fields.queue import screen_waiting
from patients.models import Patient
from webapp.audit.services import audit_record

logger = logging.getLogger(__name__)


@task()
def draw_demonstration(user_id: int) -> None:
    """Draw the demonstration's cases and screen them, unless they are there."""
    actor = User.objects.get(pk=user_id)
    if not Patient.objects.filter(is_demonstration=True).exists():
        demonstration.demonstration_draw(actor=actor)
    screen_waiting.call()


def demonstration_order(*, username: str) -> None:
    """Have the demonstration drawn by the worker, where nobody is registered yet.

    The start does not wait for it. An order that a crash has lost is given again at the next
    start, and the second of two finds the work done.

    Args:
        username: of the account that stands for the one who uploads; without it, or if it is
            no longer active, nothing is drawn.
    """
    actor = User.objects.filter(username=username, is_active=True).first()
    if actor is None or Patient.objects.exists():
        return
    try:
        draw_demonstration.enqueue(actor.pk)
    except Exception as error:  # of whichever queue; the product starts without a demonstration
        logger.warning("The task queue is away: %s", type(error).__name__)
    else:
        audit_record(actor=actor, action=ORDERED, target=actor)
