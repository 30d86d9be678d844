"""``manage.py demo_data``: a synthetic patient with synthetic fields, to look around with."""

from typing import Any

import cv2
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.imaging.synthetic import CAPTION, draw_smear
from diagnosis.screening import diagnosis_run
from diagnosis.services import diagnosis_create
from patients.models import Patient, Specimen
from patients.services import patient_create, specimen_create

NUMBER = "SYNTHETIC-1"


class Command(BaseCommand):
    """Goes through the same services as an upload; running it again adds nothing twice."""

    help = "Add a synthetic patient with one specimen and a few synthetic fields."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who is recorded as having uploaded them, and how many."""
        parser.add_argument("--user", default="demo")
        parser.add_argument("--fields", type=int, default=6)

    def handle(self, *args: Any, user: str, fields: int, **options: Any) -> None:
        """Create what is missing, and screen every field."""
        actor = get_user_model().objects.filter(username=user).first()
        if actor is None:
            raise CommandError(f"There is no user {user!r}; name one with --user.")
        patient = Patient.objects.filter(medical_record_number=NUMBER).first()
        if patient is None:
            patient = patient_create(
                actor=actor, medical_record_number=NUMBER, name="Synthetic, drawn by software"
            )
        specimen = Specimen.objects.filter(accession_number=NUMBER).first()
        if specimen is None:
            specimen = specimen_create(actor=actor, patient=patient, accession_number=NUMBER)
        for seed in range(1, fields + 1):
            drawing = cv2.cvtColor(draw_smear(seed), cv2.COLOR_RGB2BGR)
            _, jpeg = cv2.imencode(".jpg", drawing)
            diagnosis, _ = diagnosis_create(
                actor=actor,
                upload=jpeg.tobytes(),
                file_name=f"synthetic-{seed}.jpg",
                specimen=specimen,
            )
            diagnosis = diagnosis_run(diagnosis_id=diagnosis.pk)
            self.stdout.write(f"field {seed}: {diagnosis.outcome or diagnosis.status}")
        self.stdout.write(f"Specimen {NUMBER}. {CAPTION}")
