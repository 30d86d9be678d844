"""Sends fields in for the worker, as the portal does, with the queue that QUEUE_URL names.

``python -m tests.diagnosis.deferred_uploads FIRST COUNT`` on the database of DATABASE_URL.
"""

import sys

import django


def upload(number: int) -> bytes:
    """Field ``number``: one of eight drawings, made different by what follows the image's end."""
    from tests.diagnosis.support import smear_jpeg

    return smear_jpeg(number % 8) + f"field {number}".encode()


def main(first: int, count: int) -> None:
    """Store them and wake a worker after each."""
    django.setup()
    from django.contrib.auth.models import User

    from diagnosis.services import diagnosis_create
    from diagnosis.tasks import wake_worker

    actor = User.objects.get(username="sender")
    for number in range(first, first + count):
        diagnosis_create(actor=actor, upload=upload(number), deferred=True)
        wake_worker()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
