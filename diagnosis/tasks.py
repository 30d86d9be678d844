"""Background work. The queue is a hint: a lost or doubled task changes no result."""

from django_tasks import task

from diagnosis import services
from diagnosis.selectors import diagnoses_due


@task()
def diagnosis_run(diagnosis_id: int) -> str:
    """Screen one field; gives the status it then has."""
    return services.diagnosis_run(diagnosis_id=diagnosis_id).status


def sweep() -> int:
    """Enqueue every diagnosis that is due; gives how many.

    Covers what a crash, a lost task or an absent model left ``received``.
    """
    due = diagnoses_due()
    for diagnosis_id in due:
        diagnosis_run.enqueue(diagnosis_id=diagnosis_id)
    return len(due)
