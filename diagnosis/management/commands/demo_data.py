"""``manage.py demo_data``: the demonstration, or one more of its cases."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.core.imaging.synthetic import CAPTION
from diagnosis.demonstration.drawn_cases import demonstration_draw
from diagnosis.fields.queue import screen_waiting
from diagnosis.models import Diagnosis


class Command(BaseCommand):
    """What `make run` has its worker do on an empty database; run again, it adds a case."""

    help = "Add the demonstration of synthetic fields, or one more case to it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who is recorded as having uploaded them."""
        parser.add_argument("--user", default="demo")

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        """Draw what comes next, and screen every field."""
        actor = get_user_model().objects.filter(username=user).first()
        if actor is None:
            raise CommandError(f"There is no user {user!r}; name one with --user.")
        try:
            specimens = demonstration_draw(actor=actor)
        except ValidationError as error:
            raise CommandError(
                f"A number of the demonstration is taken: {' '.join(error.messages)}"
            ) from error
        screen_waiting.call()
        for specimen in specimens:
            fields = Diagnosis.objects.filter(specimen=specimen).order_by("id")
            said = ", ".join(str(field.outcome or field.status) for field in fields)
            self.stdout.write(f"Specimen {specimen.accession_number}: {said}")
        self.stdout.write(CAPTION)
