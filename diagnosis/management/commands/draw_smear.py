"""``manage.py draw_smear FILE``: a synthetic smear to try the product with."""

from pathlib import Path
from typing import Any

import cv2
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.core.imaging.synthetic import CAPTION, draw_smear


class Command(BaseCommand):
    """Draws one field; the file's extension chooses the format."""

    help = "Draw a synthetic blood-smear field into a JPEG or PNG file."

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and which of the drawings."""
        parser.add_argument("file", type=Path)
        parser.add_argument("--seed", type=int, default=1, help="one seed is one field")
        parser.add_argument("--force", action="store_true", help="write over a file that is there")

    def handle(self, *args: Any, file: Path, seed: int, force: bool, **options: Any) -> None:
        """Draw at 1024×768 and write."""
        if file.suffix.lower() not in (".jpg", ".jpeg", ".png"):
            raise CommandError(f"{file} should end in .jpg or .png.")
        drawing = cv2.cvtColor(draw_smear(seed), cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(file.suffix, drawing)
        try:
            with file.open("wb" if force else "xb") as opened:
                opened.write(encoded.tobytes())
        except FileExistsError as error:
            raise CommandError(
                f"{file} is there already; name another file, or say --force to write over it."
            ) from error
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from error
        self.stdout.write(f"{file}: {CAPTION}")
