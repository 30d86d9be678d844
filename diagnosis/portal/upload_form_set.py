"""Taking several image files at once: each stands or falls by itself."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.files.uploadedfile import UploadedFile

from diagnosis.core.errors import DecodersBusy, ImageRefused
from diagnosis.core.i18n import gettext_noop as _
from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.screening import diagnosis_run
from diagnosis.models import Diagnosis
from diagnosis.storage.media import require_room
from diagnosis.tasks import wake_worker
from patients.models import Specimen
from webapp.telemetry.metrics import UPLOAD_REFUSALS

logger = logging.getLogger(__name__)

BUSY = "busy"  # the refusal that passes by itself
FEW = 4  # files of one request that are screened while it waits


@dataclass(frozen=True)
class UploadResult:
    """What became of one file: a diagnosis, new or found again, or a refusal."""

    file_name: str
    diagnosis: Diagnosis | None = None
    is_new: bool = False
    refusal: ImageRefused | None = None


def fields_upload(
    *,
    actor: AbstractBaseUser,
    files: Sequence[UploadedFile],
    specimen: Specimen | None,
    later: bool = False,
) -> list[UploadResult]:
    """Store and screen each file; one that cannot be taken costs the others nothing.

    Args:
        later: leave the screening to the worker, as is done with more than ``FEW`` files: nobody
            is to wait for them all before seeing anything.

    Raises:
        OSError: ENOSPC; the disk was as good as full before the first file.
    """
    require_room()
    deferred = later or len(files) > FEW
    return [_upload(actor, file, specimen, deferred) for file in files]


def _upload(
    actor: AbstractBaseUser, file: UploadedFile, specimen: Specimen | None, deferred: bool
) -> UploadResult:
    name = file.name or "unnamed file"
    try:
        _require_size(file)
        diagnosis, is_new = diagnosis_create(
            actor=actor, upload=file.read(), file_name=name, specimen=specimen, deferred=deferred
        )
    except ImageRefused as refusal:
        return _refused(name, refusal)
    except DecodersBusy:
        return _refused(name, _busy())
    except OSError as error:
        logger.error("An upload could not be kept: %s", error)
        return _refused(name, _not_kept())
    if deferred:
        wake_worker()
    else:
        diagnosis = diagnosis_run(diagnosis_id=diagnosis.pk)
    return UploadResult(name, diagnosis, is_new)


def _refused(name: str, refusal: ImageRefused) -> UploadResult:
    UPLOAD_REFUSALS.labels(refusal.code).inc()
    return UploadResult(name, refusal=refusal)


def _busy() -> ImageRefused:
    return ImageRefused(
        BUSY,
        _("Too many pictures are being read just now, and nothing of this one was stored."),
        _("Send it again in a moment."),
    )


def _not_kept() -> ImageRefused:
    return ImageRefused(
        "storage_unavailable",
        _("The file could not be kept, and nothing of it was stored."),
        _("Send it again later; if that fails too, tell your operator."),
    )


def _require_size(file: UploadedFile) -> None:
    """Look before reading the file into memory."""
    limit = settings.MAX_UPLOAD_BYTES
    if (file.size or 0) > limit:
        raise ImageRefused(
            "too_large",
            _("The file has {size} MiB; {limit} MiB are taken at most."),
            _("Save the field as JPEG, or send a single field instead of a stitched scan."),
            size=round((file.size or 0) / 2**20, 1),
            limit=round(limit / 2**20),
        )
