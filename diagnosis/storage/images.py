"""The stored images of fields: read whole and as they were stored, or with an alarm.

A damaged file is counted where it is read (``media``); here it is logged, and put on record once
for each state in which it was found.
"""

import logging
from collections.abc import Iterable

from diagnosis.models import STANDING, Diagnosis
from diagnosis.storage.media import MediaDamagedError, media_is_sound, media_read
from webapp.audit.models import AuditEvent
from webapp.audit.services import audit_record

logger = logging.getLogger(__name__)

DAMAGED = "diagnosis.image_damaged"


def image_read(diagnosis: Diagnosis) -> bytes:
    """The bytes of a field, as they were stored.

    Call it outside a transaction that the error ends: what is put on record would go with it.

    Raises:
        MediaDamagedError: they are not there, or others are.
    """
    try:
        return media_read(diagnosis.image_name, diagnosis.image_sha256)
    except MediaDamagedError as damage:
        logger.error("The image file of diagnosis %s %s", diagnosis.pk, damage)
        _put_on_record(diagnosis, damage)
        raise


def images_damaged(diagnoses: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Those of ``diagnoses`` whose stored image is missing or changed; see ``media_is_sound``."""
    return [row for row in diagnoses if not media_is_sound(row.image_name, row.image_sha256)]


def damaged_of_specimen(specimen_id: int) -> list[Diagnosis]:
    """The same of the fields of one case that count, in the order of their arrival."""
    fields = Diagnosis.objects.filter(STANDING, specimen=specimen_id).order_by("pk")
    return images_damaged(fields.only("specimen", "image_name", "image_sha256"))


def _put_on_record(diagnosis: Diagnosis, damage: MediaDamagedError) -> None:
    earlier = AuditEvent.objects.filter(
        target_type=diagnosis._meta.label_lower, target_id=str(diagnosis.pk), action=DAMAGED
    ).values_list("detail", flat=True)
    if not any(detail.get("found") == damage.found for detail in earlier):
        audit_record(
            actor=None,
            action=DAMAGED,
            target=diagnosis,
            detail={"stored": diagnosis.image_sha256, "found": damage.found},
        )
