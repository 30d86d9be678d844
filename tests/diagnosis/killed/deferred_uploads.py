"""Sends fields in for the worker, as the portal does, with the queue that QUEUE_URL names.

``python -m tests.diagnosis.killed.deferred_uploads FOLDER FIRST COUNT`` on the database of
DATABASE_URL; the fields are files in FOLDER.
"""

import sys
from pathlib import Path

import django


def upload(number: int) -> bytes:
    """Field ``number``: one of eight drawings, made different by what follows the image's end."""
    from tests.diagnosis.made.pictures import smear_jpeg

    return smear_jpeg(number % 8) + f"field {number}".encode()


def write_uploads(folder: Path, first: int, count: int) -> None:
    """Draw fields into ``folder``, so that who sends them need not draw."""
    for number in range(first, first + count):
        (folder / f"{number}.jpg").write_bytes(upload(number))


def send(folder: Path, first: int, count: int) -> None:
    """Store them and wake a worker after each."""
    from django.contrib.auth.models import User

    from diagnosis.fields.intake import diagnosis_create
    from diagnosis.fields.queue import wake_worker

    actor = User.objects.get(username="sender")
    for number in range(first, first + count):
        data = (folder / f"{number}.jpg").read_bytes()
        diagnosis_create(actor=actor, upload=data, deferred=True)
        wake_worker()


if __name__ == "__main__":
    django.setup()
    send(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
