"""Small pictures of the fields of a report."""

import hashlib
import logging

from diagnosis import decoding
from diagnosis.errors import ImageRefused
from diagnosis.media import media_read
from diagnosis.models import Diagnosis
from diagnosis.reports.content import Document

logger = logging.getLogger(__name__)

WAIT_S = 60.0  # for a turn: a report without one of its pictures would stay so


def field_pictures(content: Document) -> dict[int, bytes]:
    """A JPEG by number of each field whose stored image is still the one of ``content``.

    Raises:
        DecodersBusy: others are decoded all the while.
    """
    ids = [field["id"] for field in content["fields"]]
    names = dict(Diagnosis.objects.filter(pk__in=ids).values_list("pk", "image_name"))
    found = {}
    for field in content["fields"]:
        picture = _picture(names.get(field["id"]), field["image_sha256"])
        if picture is None:
            logger.error("The image file of diagnosis %s is missing from a report", field["id"])
        else:
            found[field["number"]] = picture
    return found


def _picture(name: str | None, sha256: str) -> bytes | None:
    try:
        data = media_read(name) if name else b""
        if hashlib.sha256(data).hexdigest() != sha256:
            return None
        return decoding.thumbnail(data, wait_s=WAIT_S)
    except (OSError, ImageRefused):
        return None
