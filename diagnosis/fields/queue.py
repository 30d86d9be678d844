"""Background work. The row is the truth and the queue a hint: a task says only that there is work.

A lost or doubled task therefore changes no result; ``sweep`` finds what a crash, a lost task or an
absent model left ``received``.
"""

import logging

from django.db import transaction
from django_tasks import task

from diagnosis.core.errors import ContractError
from diagnosis.fields import screening, shadow
from diagnosis.fields.live_model import stable_predictor
from diagnosis.fields.selectors import diagnoses_due

logger = logging.getLogger(__name__)


@task()
def screen_waiting() -> int:
    """Screen what is due, batch by batch, until nothing is left; gives how many fields."""
    if len(diagnoses_due(screening.BATCH + 1)) > screening.BATCH:
        _enqueue()  # there is work for another worker beside this one
    screened = 0
    while taken := screening.diagnoses_run_due():
        screened += taken
    return screened


def wake_worker() -> None:
    """Let a worker look for work once the transaction is committed.

    Where something waits already, a worker was told before. Should it just have finished, or the
    queue be away, nothing is lost: the workers' own sweep finds the work a little later.
    """
    if len(diagnoses_due(2)) <= 1:
        transaction.on_commit(_enqueue)


def sweep() -> bool:
    """Have the due diagnoses screened, if there are any and a model might answer.

    Where the queue is away, they are screened here.
    """
    try:
        if not diagnoses_due(1) or not stable_predictor().is_ready():
            return False
    except ContractError:  # no version is live
        return False
    if not _enqueue():
        screen_waiting.call()
    return True


def sweep_shadow() -> None:
    """Have the candidate asked about new fields, where there is one in shadow mode."""
    while shadow.shadow_run():
        pass


def _enqueue() -> bool:
    """Whether a worker was told."""
    try:
        screen_waiting.enqueue()
    except Exception as error:  # of whichever queue; all that matters is that it is away
        logger.warning("The task queue is away: %s", type(error).__name__)
        return False
    return True
