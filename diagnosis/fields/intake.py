"""What people do with a field: send it in, assign it to a specimen, have it tried again.

Portal and API send fields in by ``field_submit`` alone. The software's own part is in
``diagnosis.fields.screening``.
"""

import hashlib
import logging
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from diagnosis.cases.services import case_refresh
from diagnosis.core import decoding
from diagnosis.core.errors import DecodersBusyError, ImageRefusedError
from diagnosis.core.i18n import gettext_noop as _
from diagnosis.core.state import Status
from diagnosis.fields.queue import wake_worker
from diagnosis.fields.screening import diagnosis_run, diagnosis_transition
from diagnosis.fields.selectors import Place, intake_place
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis
from diagnosis.storage.media import media_write, require_room
from diagnosis.storage.references import file_take_back
from patients.models import Specimen
from webapp.audit.services import audit_record
from webapp.domain_error import DomainError
from webapp.telemetry.metrics import UPLOAD_REFUSALS
from webapp.text.typed import clean_line

logger = logging.getLogger(__name__)

BUSY = "busy"  # these refusals pass by themselves
NOT_KEPT = "storage_unavailable"
Refusal = ImageRefusedError | DomainError


class AlreadyHeldError(DomainError):
    """The specimen already holds this very upload.

    Attributes:
        existing: the diagnosis that holds it.
    """

    def __init__(self, existing: Diagnosis) -> None:
        message = gettext("This image is already in that specimen's record.")
        super().__init__("already_there", message, id=existing.pk)
        self.existing = existing


class DemonstrationError(DomainError):
    """The specimen is one of the demonstration.

    A photograph among drawings would be taken for one of them, and be lost to its patient.
    """

    at_odds = False

    def __init__(self) -> None:
        super().__init__(
            "demonstration",
            gettext("This specimen is a demonstration, which holds drawings alone."),
            gettext("Register a patient and a specimen, and send the field there."),
        )


@dataclass(frozen=True)
class Submission:
    """What became of one upload: a diagnosis, new or held already, or a refusal."""

    diagnosis: Diagnosis | None = None
    is_new: bool = False
    refusal: Refusal | None = None


def field_submit(
    *,
    actor: AbstractBaseUser,
    upload: bytes,
    file_name: str = "",
    specimen: Specimen | None = None,
    wait: bool,
) -> Submission:
    """Keep one uploaded field and have it screened; a refusal is counted, and keeps nothing.

    Args:
        wait: screen it now; else a worker does.
    """
    try:
        diagnosis, is_new = diagnosis_create(
            actor=actor,
            upload=upload,
            file_name=file_name,
            specimen=specimen,
            deferred=not wait,
        )
    except (ImageRefusedError, DomainError) as refusal:
        return submission_refused(refusal)
    except DecodersBusyError:
        return submission_refused(
            ImageRefusedError(
                BUSY,
                _("Too many pictures are being read just now, and nothing of this one was stored."),
                _("Send it again in a moment."),
            )
        )
    except OSError as error:
        logger.error("An upload could not be kept: %s", error)
        return submission_refused(
            ImageRefusedError(
                NOT_KEPT,
                _("The file could not be kept, and nothing of it was stored."),
                _("Send it again later; if that fails too, tell your operator."),
            )
        )
    if wait:
        diagnosis = diagnosis_run(diagnosis_id=diagnosis.pk)
    else:
        wake_worker()
    return Submission(diagnosis, is_new)


def submission_refused(refusal: Refusal) -> Submission:
    """An upload of which nothing is kept, counted."""
    UPLOAD_REFUSALS.labels(refusal.code).inc()
    return Submission(refusal=refusal)


def diagnosis_create(
    *,
    actor: AbstractBaseUser,
    upload: bytes,
    file_name: str = "",
    specimen: Specimen | None = None,
    deferred: bool = False,
    drawn: bool = False,
) -> tuple[Diagnosis, bool]:
    """Store an uploaded field as ``received``; gives the row and whether it is new.

    The file is complete on disk before the row is committed: a cut in between leaves a stray
    file, which ``clean_media`` finds, and never a row without its file.

    Args:
        deferred: the worker is to screen it, not the caller.
        drawn: the software made it, for the demonstration, which takes nothing else.

    Raises:
        ImageRefusedError: the upload is not an image that can be read; nothing is kept.
        DomainError: the specimen belongs to the demonstration, or the upload was withdrawn from
            it; nothing is kept.
        DecodersBusyError: others are decoded just now; nothing is kept.
        OSError: the file cannot be kept; ENOSPC if the disk is full. Nothing is kept.
    """
    if not drawn:
        _refuse_demonstration(specimen)
    upload_sha256 = hashlib.sha256(upload).hexdigest()
    place = intake_place(specimen, upload_sha256)
    if place.held:
        return place.held, False
    _refuse_withdrawn(specimen, place)
    require_room()
    stored = decoding.to_stored(upload)
    image_name, image_sha256 = media_write(stored)
    diagnosis = Diagnosis(
        specimen=specimen,
        intake_key=place.key,
        file_name=clean_line(file_name)[:255],
        upload_sha256=upload_sha256,
        image_sha256=image_sha256,
        image_name=image_name,
        media_type=stored.media_type,
        width=stored.width,
        height=stored.height,
        colour_conversion=stored.colour_conversion,
        created_by=actor,  # type: ignore[misc]
        next_attempt_at=timezone.now() if deferred else None,  # a row without belongs to its caller
    )
    try:
        with transaction.atomic():
            diagnosis.save()
            audit_record(
                actor=actor,
                action="diagnosis.received",
                target=diagnosis,
                detail={"image_sha256": image_sha256},
            )
            if specimen is not None:
                case_refresh(specimen.pk)
    except IntegrityError:
        if existing := Diagnosis.objects.filter(intake_key=place.key).first():
            return existing, False  # the same upload won the race
        file_take_back(image_name)
        raise
    except Exception:
        file_take_back(image_name)
        raise
    # `clean_media` may have removed a stray of the same content just before the commit.
    media_write(stored)
    return diagnosis, True


def diagnosis_retry(*, actor: AbstractBaseUser, diagnosis: Diagnosis) -> bool:
    """Put a ``failed`` diagnosis back in the queue, with as many attempts again."""
    return diagnosis_transition(
        diagnosis=diagnosis,
        attempt=diagnosis.attempts,
        to=Status.RECEIVED,
        actor=actor,
        attempts_max=F("attempts") + ATTEMPTS_ALLOWED,
        failure="",
        completed_at=None,
    )


def diagnosis_assign(*, actor: AbstractBaseUser, diagnosis: Diagnosis, specimen: Specimen) -> None:
    """Give an unassigned field its specimen.

    Raises:
        DomainError: the field is assigned already or was withdrawn; the specimen holds the same
            upload (``AlreadyHeldError``) or belongs to the demonstration.
    """
    _refuse_demonstration(specimen)
    place = intake_place(specimen, diagnosis.upload_sha256)
    try:
        with transaction.atomic():
            row = Diagnosis.objects.select_for_update().get(pk=diagnosis.pk)
            if row.specimen_id is not None:
                raise DomainError(
                    "already_assigned", gettext("The field is already assigned to a specimen.")
                )
            if row.withdrawn:
                raise DomainError(
                    "withdrawn", gettext("The field was withdrawn: upload the image again.")
                )
            if place.held:
                raise AlreadyHeldError(place.held)
            Diagnosis.objects.filter(pk=row.pk).update(specimen=specimen, intake_key=place.key)
            audit_record(
                actor=actor,
                action="diagnosis.assigned",
                target=diagnosis,
                detail={"specimen_id": specimen.pk},
            )
            case_refresh(specimen.pk)
    except IntegrityError as error:
        raise AlreadyHeldError(Diagnosis.objects.get(intake_key=place.key)) from error
    diagnosis.refresh_from_db()


def _refuse_demonstration(specimen: Specimen | None) -> None:
    if specimen is not None and specimen.patient.is_demonstration:
        raise DemonstrationError


def _refuse_withdrawn(specimen: Specimen | None, place: Place) -> None:
    """A folder that is sent again, or a program that tries again, brings nothing back that a person
    has taken out; whoever assigns a field says that it belongs there."""
    if specimen is not None and place.withdrawn:
        raise DomainError(
            "withdrawn",
            gettext(
                "This image was withdrawn from this specimen, so it is not taken again by itself."
            ),
            gettext(
                "If it belongs here after all, upload it under Unassigned fields, and assign it to "
                "this specimen."
            ),
        )
