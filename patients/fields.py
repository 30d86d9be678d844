"""Text fields that normalise what people and machines type, on writing and on looking up."""

import string
import unicodedata
from typing import Any

from django.core.validators import ProhibitNullCharactersValidator
from django.db import models

_ASCII_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


class LineField(models.CharField):
    """One line of text: Unicode NFC, runs of white space become one space, none at the ends.

    Django asks ``to_python`` on validation and, through ``get_prep_value``, on every save and
    exact lookup, so a value is normalised once and the same everywhere.
    """

    default_validators = [ProhibitNullCharactersValidator()]

    def to_python(self, value: Any) -> Any:
        """The normalised text, or ``None``."""
        text = super().to_python(value)
        return None if text is None else " ".join(unicodedata.normalize("NFC", text).split())


class IdentifierField(LineField):
    """A number given by another system, kept in upper case.

    MySQL compares without regard to case and SQLite does not; in upper-case ASCII (which the
    model's validator demands) ``unique`` means the same on both.
    """

    def to_python(self, value: Any) -> Any:
        """The normalised identifier, or ``None``."""
        text = super().to_python(value)
        return None if text is None else text.translate(_ASCII_UPPER)
