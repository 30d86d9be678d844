"""Passwords that somebody who knows the place would try first."""

import re
import unicodedata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

# Of the field, of laboratories, of this product and of passwords; English and German, without
# accents, also with ae for ä and the like.
WORDS = frozenset(Path(__file__).with_name("field_words.txt").read_text("ascii").split())
LETTERS_OF_ONE_S_OWN = 6
DISTINCT = 5
_LOOK = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s"}
_LEET = tuple(str.maketrans({**_LOOK, "1": one, "!": one, "|": one}) for one in "il")


class FieldWordsValidator(CommonPasswordValidator):
    """Refuses words of the field, of the laboratory and of the user, however they are dressed up.

    What digits, punctuation and look-alike characters (``l3uk3mia-2026``) are added to a word adds
    next to nothing for a guesser. A phrase that holds such a word among others is taken.
    """

    def validate(self, password: str, user: Any = None) -> None:
        """Raise ``ValidationError`` with the reason."""
        super().validate(password, user)
        words = WORDS | _local_words() | _words_of(user)
        for letters in _spellings(password):
            rest = _without(letters, words)
            if letters in self.passwords or (
                rest != letters and len(rest.replace(" ", "")) < LETTERS_OF_ONE_S_OWN
            ):
                raise ValidationError(
                    _(
                        "This password is a word of your field, your laboratory or your name, or a "
                        "common one, with little added. Take several words that do not belong "
                        "together."
                    ),
                    code="password_of_the_field",
                )
        if len(set(password.casefold())) < DISTINCT:
            raise ValidationError(
                _("This password has too few different characters."), code="password_monotonous"
            )

    def get_help_text(self) -> str:
        """For people who choose one."""
        return _(
            "Your password can’t be a word of your field, your laboratory or your name with digits "
            "or signs added, nor a commonly used one."
        )


def _spellings(password: str) -> set[str]:
    """The letters of a password, read in each way that look-alikes allow."""
    plain = _folded(password)
    return {re.sub(r"[^a-z]", "", text) for text in (plain, *map(plain.translate, _LEET))}


def _folded(text: str) -> str:
    """Lower case without accents; ``ß`` is ``ss``."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))


def _without(letters: str, words: frozenset[str]) -> str:
    """The letters that belong to none of the words; a space marks where one was."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), " ", letters)


def _words_in(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", _folded(text)) if len(word) > 3}


def _local_words() -> frozenset[str]:
    """Of the laboratory as reports name it, and of the host names of the site."""
    return frozenset(_words_in(" ".join([settings.LABORATORY, *settings.ALLOWED_HOSTS])))


def _words_of(user: Any) -> frozenset[str]:
    names = ("username", "first_name", "last_name", "email")
    return frozenset(_words_in(" ".join(str(getattr(user, name, "") or "") for name in names)))
