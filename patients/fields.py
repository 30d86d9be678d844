"""Text fields that normalise what people and machines type, on writing and on looking up."""

import string
from typing import Any

from django import forms
from django.core.validators import ProhibitNullCharactersValidator
from django.db import models

from patients.folding import FOLDED_LENGTH, folded
from webapp.text.typed import Isolated, clean_line, clean_text

_ASCII_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


class LineFormField(forms.CharField):
    """One line as it will be stored; what cannot be seen counts as nothing."""

    def to_python(self, value: Any) -> Any:
        """The line."""
        return clean_line(super().to_python(value) or "") or self.empty_value


class TextFormField(forms.CharField):
    """Several lines as they will be stored; a line break counts once, as the browser counts it."""

    def to_python(self, value: Any) -> Any:
        """The text."""
        return clean_text(super().to_python(value) or "") or self.empty_value


class LineField(models.CharField):
    """One line of text, as ``clean_line`` gives it; templates show it isolated.

    Django asks ``to_python`` on validation and, through ``get_prep_value``, on every save and
    exact lookup, so a value is normalised once and the same everywhere.
    """

    default_validators = [ProhibitNullCharactersValidator()]

    def to_python(self, value: Any) -> Any:
        """The normalised text, or ``None``."""
        text = super().to_python(value)
        return None if text is None else Isolated(clean_line(text))

    def from_db_value(self, value: str | None, *_: Any) -> Isolated | None:
        """As stored."""
        return None if value is None else Isolated(value)

    def formfield(self, **kwargs: Any) -> Any:  # type: ignore[override]
        """An input that runs as its text does."""
        field = super().formfield(**{"form_class": LineFormField, **kwargs})
        if field is not None:
            field.widget.attrs.setdefault("dir", "auto")
        return field


class IdentifierField(LineField):
    """A number given by another system, kept in upper case.

    MySQL compares without regard to case and SQLite does not; in upper-case ASCII (which the
    model's validator demands) ``unique`` means the same on both.
    """

    def to_python(self, value: Any) -> Any:
        """The normalised identifier, or ``None``."""
        text = super().to_python(value)
        return None if text is None else Isolated(text.translate(_ASCII_UPPER))


class FoldedField(models.CharField):
    """What searches look through: other fields of the row, folded whenever it is saved.

    Args:
        of: the names of those fields.
    """

    def __init__(self, *args: Any, of: tuple[str, ...] = (), **kwargs: Any) -> None:
        self.of = of
        kwargs |= {"max_length": FOLDED_LENGTH, "editable": False, "default": ""}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        """For migrations."""
        name, path, args, kwargs = super().deconstruct()
        for fixed in ("max_length", "editable", "default"):
            kwargs.pop(fixed, None)
        return name, path, args, kwargs | {"of": self.of}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        """Of the row as it is saved."""
        value = self.folded_of(model_instance)
        setattr(model_instance, self.attname, value)
        return value

    def folded_of(self, row: models.Model) -> str:
        """The folded text of a row."""
        return folded(" ".join(str(getattr(row, name)) for name in self.of))
