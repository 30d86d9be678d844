"""``manage.py clean_media``: files that no record refers to."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from diagnosis.storage.media import media_files, media_remove
from diagnosis.storage.references import is_referred_to


class Command(BaseCommand):
    """Lists stray files, and removes them when told to."""

    help = "List image files and reports that no record refers to; --delete removes them."

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
            if is_referred_to(name):
                continue
            if not delete or media_remove(name, is_referred_to=is_referred_to):
                strays += 1
                self.stdout.write(name)
        verb = "removed" if delete else "found"
        self.stdout.write(f"{strays} stray file{'' if strays == 1 else 's'} {verb}")
