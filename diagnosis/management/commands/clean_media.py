"""``manage.py clean_media``: image files that no diagnosis refers to."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from diagnosis.media import media_files
from diagnosis.models import Diagnosis


class Command(BaseCommand):
    """Lists stray image files, and removes them when told to."""

    help = "List image files that no diagnosis refers to; --delete removes them."

    def add_arguments(self, parser: CommandParser) -> None:
        """``--delete`` and ``--older-than``."""
        parser.add_argument("--delete", action="store_true", help="remove what is listed")
        parser.add_argument(
            "--older-than",
            type=float,
            default=3600.0,
            metavar="SECONDS",
            help="leave younger files alone: an upload may be about to commit (default 3600)",
        )

    def handle(self, *args: Any, delete: bool, older_than: float, **options: Any) -> None:
        """Files are asked for one by one, right before they go: an upload of the same image
        in the meantime has reset the file's age or committed its row."""
        strays = 0
        for name, path in media_files(older_than_s=older_than):
            if Diagnosis.objects.filter(image_name=name).exists():
                continue
            strays += 1
            self.stdout.write(name)
            if delete:
                path.unlink(missing_ok=True)
        verb = "removed" if delete else "found"
        self.stdout.write(f"{strays} stray file{'' if strays == 1 else 's'} {verb}")
