"""``manage.py restore FOLDER``: database, media and model store as a backup has them."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from diagnosis.operations.backup.folder import BackupError, mend
from diagnosis.operations.backup.restore import backup_restore


class Command(BaseCommand):
    """See ``diagnosis.operations.backup.restore`` for what an interruption leaves."""

    help = (
        "Restore a backup into the database, media folder and model store of the settings. Stop "
        "the product first, and run this as the product's own user."
    )
    requires_system_checks = []  # what they would complain of may be what is restored

    def add_arguments(self, parser: CommandParser) -> None:
        """What to restore, and whether anything may go for it."""
        parser.add_argument("folder", type=Path, help="a folder that `manage.py backup` made")
        parser.add_argument(
            "--replace",
            action="store_true",
            help="remove what the target holds; without it, only what would be removed is said",
        )

    def handle(self, *args: Any, folder: Path, replace: bool, **options: Any) -> None:
        """Exit 1 if nothing was restored, or what was restored does not agree."""
        try:
            manifest, problems = backup_restore(folder=folder, replace=replace, say=self._say)
        except BackupError as error:
            raise CommandError(str(error)) from error
        except (OSError, DatabaseError) as error:
            raise CommandError(f"Nothing was restored: {mend(error)}") from error
        self.stdout.write(f"Restored the backup of {manifest.made_at}: {manifest.describe()}.")
        self.stdout.write("Everybody signs in anew.")
        if problems:
            for problem in problems:
                self.stdout.write(problem)
            raise CommandError(
                f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found in what was "
                f"restored; the backup knew of {len(manifest.problems)} when it was made."
            )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
