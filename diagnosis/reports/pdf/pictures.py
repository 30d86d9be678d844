"""Small pictures of the fields of a report."""

import logging

from diagnosis.core import decoding
from diagnosis.core.errors import ImageRefusedError
from diagnosis.models import Diagnosis
from diagnosis.reports.content.snapshot import Document
from diagnosis.storage.images import image_read
from diagnosis.storage.media import MediaDamagedError

logger = logging.getLogger(__name__)

WAIT_S = 60.0  # for a turn: a report without one of its pictures would stay so


def field_pictures(content: Document) -> dict[int, bytes]:
    """A JPEG by number of each field whose stored image is still the one of ``content``.

    Raises:
        DecodersBusyError: others are decoded all the while.
    """
    ids = [field["id"] for field in content["fields"]]
    rows = Diagnosis.objects.in_bulk(ids)
    found = {}
    for field in content["fields"]:
        picture = _picture(rows.get(field["id"]), field["image_sha256"])
        if picture is None:
            logger.error("The image file of diagnosis %s is missing from a report", field["id"])
        else:
            found[field["number"]] = picture
    return found


def _picture(diagnosis: Diagnosis | None, sha256: str) -> bytes | None:
    if diagnosis is None or diagnosis.image_sha256 != sha256:
        return None
    try:
        return decoding.thumbnail(image_read(diagnosis), wait_s=WAIT_S)
    except (MediaDamagedError, ImageRefusedError):
        return None
