"""An image as JSON or multipart brings it: both fields give the file's bytes.

What is wrong with an upload has a code of its own, so these fields raise ``Problem`` where
other fields collect messages.
"""

import binascii
import re
from typing import Any, NoReturn

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from webapp.api.errors import Problem

_DATA_URL = re.compile(r"data:[^,]{0,255};base64,", re.IGNORECASE)
_WHITE_SPACE = b" \t\r\n"


def upload_too_large() -> Problem:
    """The refusal of an image, or of a whole request, over ``MAX_UPLOAD_BYTES``."""
    limit = settings.MAX_UPLOAD_BYTES / 2**20
    return Problem(
        413,
        "upload_too_large",
        f"The image is larger than {limit:g} MiB. Send one field at the camera's own "
        "resolution, as JPEG.",
    )


class _ImageField(serializers.Field[bytes, Any, Any, Any]):
    """What both ways of sending an image have in common."""

    default_error_messages = {
        "required": "`image` is missing: send the picture in it.",
        "null": "`image` is empty: send the picture in it.",
    }

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        """Refuse with 400 and the code of ``key``."""
        code = "image_missing" if key in ("required", "null") else key
        raise Problem(400, code, str(self.error_messages[key]))


@extend_schema_field(OpenApiTypes.STR)
class Base64ImageField(_ImageField):
    """Base64 text, a data-URL prefix and line breaks allowed.

    Not a ``CharField``: that one looks for forbidden characters one by one in Python, which
    takes longer than decoding the text and the picture in it.
    """

    default_error_messages = {
        "not_base64_text": "`image` is not text: send the picture as base64 text.",
        "invalid_base64": "`image` is not base64, or is cut off: encode the whole file with the "
        "standard alphabet (A–Z a–z 0–9 + / and = at the end).",
        "url_safe_base64": "`image` uses the URL-safe base64 alphabet (- and _): encode the file "
        "with the standard one (+ and /).",
    }

    def to_internal_value(self, data: Any) -> bytes:
        """The file's bytes."""
        if not isinstance(data, str):
            self.fail("not_base64_text")
        prefix = _DATA_URL.match(data)
        try:
            text = (data[prefix.end() :] if prefix else data).encode("ascii")
        except UnicodeEncodeError:
            self.fail("invalid_base64")
        image = self._decode(text)
        if len(image) > settings.MAX_UPLOAD_BYTES:
            raise upload_too_large()
        return image

    def _decode(self, text: bytes) -> bytes:
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:  # line breaks are rare, so they are looked for only now
            text = text.translate(None, _WHITE_SPACE)
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            url_safe = (b"-" in text or b"_" in text) and not re.search(rb"[^\w=-]", text)
            self.fail("url_safe_base64" if url_safe else "invalid_base64")


@extend_schema_field(OpenApiTypes.BINARY)
class UploadedImageField(_ImageField):
    """The one file part of a multipart form."""

    default_error_messages = {
        "not_a_file": "`image` is a form value, not a file: send it as a file part, with a "
        "file name.",
        "several_images": "There are several `image` parts: send one picture per request.",
    }

    def get_value(self, dictionary: Any) -> Any:
        """The part, if there is only one."""
        if len(dictionary.getlist(self.field_name)) > 1:
            self.fail("several_images")
        return super().get_value(dictionary)

    def to_internal_value(self, data: Any) -> bytes:
        """The file's bytes."""
        if not isinstance(data, UploadedFile):
            self.fail("not_a_file")
        if (data.size or 0) > settings.MAX_UPLOAD_BYTES:
            raise upload_too_large()
        return data.read()
