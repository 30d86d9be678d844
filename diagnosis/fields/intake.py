"""What people do with a diagnosis: send it in, assign it, have it tried again.

The software's own part is in ``diagnosis.fields.screening``.
"""

import hashlib

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext

from diagnosis.cases.services import CaseError, case_refresh
from diagnosis.core import decoding
from diagnosis.core.errors import ImageRefused
from diagnosis.core.i18n import gettext_noop as _
from diagnosis.core.state import Status
from diagnosis.fields.screening import diagnosis_transition
from diagnosis.fields.selectors import Place, intake_place
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis
from diagnosis.storage.media import media_write, require_room
from diagnosis.storage.references import file_take_back
from patients.models import Specimen
from webapp.audit.services import audit_record
from webapp.text.typed import clean_line


class AlreadyThere(Exception):
    """The specimen already holds this very upload.

    Attributes:
        existing: the diagnosis that holds it.
    """

    def __init__(self, existing: Diagnosis) -> None:
        super().__init__(gettext("This image is already in that specimen's record."))
        self.existing = existing


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
        ImageRefused: the upload is not an image that can be read, the specimen belongs to the
            demonstration, or the upload was withdrawn from it. Nothing is kept.
        DecodersBusy: others are decoded just now; nothing is kept.
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
        AlreadyThere: the specimen already holds the same upload.
        ImageRefused: the specimen belongs to the demonstration.
        ValueError: the field is assigned already.
        CaseError: it was withdrawn.
    """
    _refuse_demonstration(specimen)
    place = intake_place(specimen, diagnosis.upload_sha256)
    try:
        with transaction.atomic():
            row = Diagnosis.objects.select_for_update().get(pk=diagnosis.pk)
            if row.specimen_id is not None:
                raise ValueError(gettext("The field is already assigned to a specimen."))
            if row.withdrawn:
                raise CaseError(
                    "withdrawn", gettext("The field was withdrawn: upload the image again.")
                )
            if place.held:
                raise AlreadyThere(place.held)
            Diagnosis.objects.filter(pk=row.pk).update(specimen=specimen, intake_key=place.key)
            audit_record(
                actor=actor,
                action="diagnosis.assigned",
                target=diagnosis,
                detail={"specimen_id": specimen.pk},
            )
            case_refresh(specimen.pk)
    except IntegrityError as error:
        raise AlreadyThere(Diagnosis.objects.get(intake_key=place.key)) from error
    diagnosis.refresh_from_db()


def _refuse_demonstration(specimen: Specimen | None) -> None:
    """A photograph among drawings would be taken for one of them, and be lost to its patient."""
    if specimen is not None and specimen.patient.is_demonstration:
        raise ImageRefused(
            "demonstration",
            _("This specimen is a demonstration, which holds drawings alone."),
            _("Register a patient and a specimen, and send the field there."),
        )


def _refuse_withdrawn(specimen: Specimen | None, place: Place) -> None:
    """A folder that is sent again, or a program that tries again, brings nothing back that a person
    has taken out; whoever assigns a field says that it belongs there."""
    if specimen is not None and place.withdrawn:
        raise ImageRefused(
            "withdrawn",
            _("This image was withdrawn from this specimen, so it is not taken again by itself."),
            _(
                "If it belongs here after all, upload it under Unassigned fields, and assign it to "
                "this specimen."
            ),
        )
