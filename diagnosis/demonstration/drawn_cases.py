"""The demonstration: a patient who is none, with cases of drawn fields, for newcomers.

Its fields go through the same services, checks and model as an upload. What the model says about a
drawing means nothing; the drawings below were chosen because version 2 says something different of
each kind, so that every page has something to show. Like every record it stays for ever.
"""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from diagnosis.core.imaging.synthetic import draw_document, draw_smear
from diagnosis.fields.intake import diagnosis_create
from patients.models import Patient, Specimen
from patients.services import patient_create, specimen_create

NUMBER = "DEMO"
NAME = "Demonstration, Synthetic"
Draw = Callable[[], NDArray[np.uint8]]


def _blurred(seed: int) -> NDArray[np.uint8]:
    """A field out of focus."""
    return np.asarray(cv2.GaussianBlur(draw_smear(seed), (0, 0), 9), np.uint8)


# Each case: its drawings. The first has twelve, two of which are refused; the second six.
_CASES: tuple[tuple[Draw, ...], ...] = (
    (
        *(partial(draw_smear, seed) for seed in (1, 3, 5, 22, 16, 2, 8, 20)),
        *(partial(draw_smear, seed, nucleated=3) for seed in (3, 24)),
        partial(_blurred, 9),
        draw_document,
    ),
    (
        *(partial(draw_smear, seed, nucleated=3) for seed in (3, 24, 9, 39)),
        partial(draw_smear, 39, nucleated=2),
        partial(draw_smear, 1, nucleated=0),
    ),
)


def demonstration_draw(*, actor: AbstractBaseUser) -> list[Specimen]:
    """Add the demonstration; gives its new specimens, whose fields then wait for the worker.

    The first time it is a patient with two cases; each time after that one more case, for whoever
    wants to go through it all again. All of it is stored, or nothing.

    Args:
        actor: who stands for the one who registers and uploads.

    Raises:
        ValidationError: somebody else has one of the demonstration's numbers.
    """
    patient = Patient.objects.filter(is_demonstration=True).first()
    there = patient.specimens.count() if patient else 0
    # Drawn first: meanwhile the database is free for others.
    drawn = [
        (number, [_jpeg(draw()) for draw in _CASES[(number - 1) % len(_CASES)]])
        for number in range(there + 1, max(there + 1, len(_CASES)) + 1)
    ]
    with transaction.atomic():
        if patient is None:
            patient = patient_create(
                actor=actor, medical_record_number=NUMBER, name=NAME, is_demonstration=True
            )
        return [_case(actor, patient, number, uploads) for number, uploads in drawn]


def _case(actor: AbstractBaseUser, patient: Patient, number: int, uploads: list[bytes]) -> Specimen:
    specimen = specimen_create(
        actor=actor,
        patient=patient,
        accession_number=f"{NUMBER}-{number}",
        received_at=timezone.now(),
    )
    for index, upload in enumerate(uploads, start=1):
        diagnosis_create(
            actor=actor,
            upload=upload,
            file_name=f"drawn-{index:02d}.jpg",
            specimen=specimen,
            deferred=True,
            drawn=True,
        )
    return specimen


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()
