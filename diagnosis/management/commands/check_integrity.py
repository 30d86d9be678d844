"""``manage.py check_integrity``: do rows, files and audit agree?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.models import Diagnosis
from diagnosis.operations.integrity import integrity_problems


class Command(BaseCommand):
    """Prints every disagreement; exits with 1 if there is any."""

    help = "Check that diagnoses, signed reports, their files and the audit trail agree."

    def handle(self, *args: Any, **options: Any) -> None:
        """Reads everything, changes nothing."""
        problems = 0
        for problem in integrity_problems():
            problems += 1
            self.stdout.write(problem)
        if problems:
            raise CommandError(f"{problems} problem{'' if problems == 1 else 's'} found")
        self.stdout.write(f"{Diagnosis.objects.count()} diagnoses checked, all agree")
