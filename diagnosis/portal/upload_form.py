"""The files of one posted form: each stands or falls by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.uploadedfile import UploadedFile

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.i18n import gettext_noop as _
from diagnosis.fields.intake import Submission, field_submit, submission_refused
from diagnosis.storage.media import require_room
from patients.models import Specimen

FEW = 4  # files of one request that are screened while it waits


@dataclass(frozen=True)
class FileResult:
    """What became of one file."""

    file_name: str
    submission: Submission


def files_submit(
    *,
    actor: AbstractBaseUser,
    files: Sequence[UploadedFile],
    specimen: Specimen | None,
    later: bool = False,
) -> list[FileResult]:
    """Send in each file; one that cannot be taken costs the others nothing.

    Args:
        later: leave the screening to the worker, as is done with more than ``FEW`` files: nobody
            is to wait for them all before seeing anything.

    Raises:
        OSError: ENOSPC; the disk was as good as full before the first file.
    """
    require_room()
    wait = not later and len(files) <= FEW
    return [_submit(actor, file, specimen, wait) for file in files]


def _submit(
    actor: AbstractBaseUser, file: UploadedFile, specimen: Specimen | None, wait: bool
) -> FileResult:
    name = file.name or "unnamed file"
    if (file.size or 0) > settings.MAX_UPLOAD_BYTES:  # looked at before it is read into memory
        return FileResult(name, submission_refused(_too_large(file.size or 0)))
    return FileResult(
        name,
        field_submit(actor=actor, upload=file.read(), file_name=name, specimen=specimen, wait=wait),
    )


def _too_large(size: int) -> ImageRefusedError:
    return ImageRefusedError(
        "too_large",
        _("The file has {size} MiB; {limit} MiB are taken at most."),
        _("Save the field as JPEG, or send a single field instead of a stitched scan."),
        size=round(size / 2**20, 1),
        limit=round(settings.MAX_UPLOAD_BYTES / 2**20),
    )
