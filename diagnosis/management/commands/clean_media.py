"""``manage.py clean_media``: image files that no diagnosis refers to."""

from pathlib import PurePath
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from diagnosis.media import media_files, media_remove
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
        """Rows are asked for file by file: an upload may commit at any moment."""
        strays = 0
        for name, _ in media_files(older_than_s=older_than):
            if _is_referred_to(name):
                continue
            if not delete or media_remove(name, is_referred_to=_is_referred_to):
                strays += 1
                self.stdout.write(name)
        verb = "removed" if delete else "found"
        self.stdout.write(f"{strays} stray file{'' if strays == 1 else 's'} {verb}")


def _is_referred_to(name: str) -> bool:
    digest = PurePath(name).stem  # by it alone the database finds a row without looking at all
    return Diagnosis.objects.filter(image_sha256=digest, image_name=name).exists()
