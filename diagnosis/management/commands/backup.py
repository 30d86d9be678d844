"""``manage.py backup FOLDER``: database, media and model store, while the product runs."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from diagnosis.operations.backup.folder import BackupError, mend
from diagnosis.operations.backup.make import backup_make


class Command(BaseCommand):
    """The folder appears when the backup is complete, and not otherwise."""

    help = (
        "Write a complete backup of database, media and model store to a new folder. It holds "
        "patient data. Not in it: .env and other secrets."
    )
    # A folder that may no longer be written is a reason to make a backup.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and what it may share files with."""
        parser.add_argument("folder", type=Path, help="must not exist; its parent must")
        parser.add_argument(
            "--link",
            type=Path,
            metavar="EARLIER",
            help="an earlier backup on the same disk: files that it holds are linked, not copied",
        )

    def handle(self, *args: Any, folder: Path, link: Path | None, **options: Any) -> None:
        """Exit 1 without a backup, or with one that holds what was damaged already."""
        try:
            manifest, digest = backup_make(folder=folder, earlier=link, say=self._say)
        except BackupError as error:
            raise CommandError(str(error)) from error
        except (OSError, DatabaseError) as error:
            raise CommandError(f"No backup was made: {mend(error)}") from error
        self.stdout.write(f"{folder}: {manifest.describe()}")
        self.stdout.write(f"sha256 {digest}")
        if manifest.problems:
            for problem in manifest.problems:
                self.stdout.write(problem)
            raise CommandError(
                f"The backup is complete, but {len(manifest.problems)} files were missing or "
                "damaged in the product already; keep earlier backups, which may have them."
            )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
