"""Which files of ``MEDIA_ROOT`` rows refer to."""

import contextlib
from collections.abc import Iterator
from pathlib import PurePath

from django.db import Error as DatabaseError

from diagnosis.models import Diagnosis, Report
from diagnosis.storage.media import media_remove


def is_referred_to(name: str) -> bool:
    """Whether a row refers to the file ``name``."""
    digest = PurePath(name).stem  # by it alone the database finds a row without looking at all
    return (
        Diagnosis.objects.filter(image_sha256=digest, image_name=name).exists()
        or Report.objects.filter(pdf_sha256=digest, pdf_name=name).exists()
    )


def referred_files() -> Iterator[tuple[str, str]]:
    """Name and sha256 of every file that a row refers to, each once."""
    images = Diagnosis.objects.order_by().values_list("image_name", "image_sha256").distinct()
    yield from images.iterator()
    reports = Report.objects.order_by().values_list("pdf_name", "pdf_sha256").distinct()
    yield from reports.iterator()


def file_take_back(name: str) -> None:
    """Remove a file whose row could not be written, unless another row refers to it.

    Where the database cannot be asked, it stays, for ``clean_media``.
    """
    with contextlib.suppress(DatabaseError, OSError):
        media_remove(name, is_referred_to=is_referred_to)
