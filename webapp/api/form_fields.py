"""What the API takes as text, number and document: nothing is guessed, nothing dropped."""

import re
from collections.abc import Mapping
from typing import Any

from django.db import models
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail

LARGEST_ID = 2**63 - 1

_DIGITS = re.compile("[0-9]{1,19}")
_OF_A_BROWSER = "csrfmiddlewaretoken"  # stands in a form that is sent by a session


class TextField(serializers.CharField):
    """Text, or a whole number for its digits. DRF's writes 1e3 as "1000.0"."""

    def get_value(self, dictionary: Any) -> Any:
        """What was sent; of a form that says it several times all, which is no text."""
        sent = dictionary.getlist(self.field_name) if hasattr(dictionary, "getlist") else ()
        return sent if len(sent) > 1 else super().get_value(dictionary)

    def to_internal_value(self, data: Any) -> str:
        """The text."""
        if isinstance(data, float):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeField(serializers.IntegerField):
    """A whole number without sign. DRF's takes 1.0, " 1 " and "1_0" for one."""

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if not _is_whole(data):
            self.fail("invalid")
        return int(data)


class RelatedField(serializers.PrimaryKeyRelatedField[Any]):
    """A row by its ``id``. DRF's rounds 1.5 down to one."""

    default_error_messages = {
        "incorrect_type": "This is not an `id`: send the whole number that the API gave.",
        "does_not_exist": "There is no such row: send the `id` that the API gave.",
    }

    def to_internal_value(self, data: Any) -> Any:
        """The row."""
        if not is_id(data):
            self.fail("incorrect_type")
        return super().to_internal_value(int(data))


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses what it does not know: who misspells a member would believe it to be kept.

    What the server sets may come back as it was answered, so that a document that was read can be
    changed and sent again; any other value of it is refused.
    """

    def to_internal_value(self, data: Any) -> Any:
        """As DRF's; ``ValidationError`` names every member that is unknown or wrong."""
        errors = self._unknown(data) if isinstance(data, Mapping) else {}
        try:
            known = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not errors:
                raise
            raise serializers.ValidationError({**errors, **error.detail}) from error  # type: ignore[dict-item]
        except APIException:
            if not errors:
                raise
        if errors:
            raise serializers.ValidationError(errors)
        return known

    def _unknown(self, data: Mapping[str, Any]) -> dict[str, list[ErrorDetail]]:
        found = {}
        for name in data:
            field = self.fields.get(name)
            if field is None and name != _OF_A_BROWSER:
                error = ErrorDetail("There is no such member; /api/docs names all.", "unknown")
            elif field is not None and field.read_only and not self._is_answered(name, data):
                error = ErrorDetail("The server sets this; leave it out.", "read_only")
            else:
                continue
            found[name] = [error]
        return found

    def _is_answered(self, name: str, data: Mapping[str, Any]) -> bool:
        if self.instance is None:
            return False
        return bool(self.to_representation(self.instance)[name] == data[name])


class StrictModelSerializer(StrictSerializer, serializers.ModelSerializer[Any]):
    """The same of a model."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.CharField: TextField,
    }
    serializer_related_field = RelatedField


def is_id(data: Any) -> bool:
    """Whether a database takes it in a query for an ``id``."""
    return _is_whole(data) and int(data) <= LARGEST_ID


def _is_whole(data: Any) -> bool:
    """Whether it is written as a whole number; ``True`` is an ``int`` to Python alone."""
    if isinstance(data, str):
        return _DIGITS.fullmatch(data) is not None
    return type(data) is int and data >= 0
