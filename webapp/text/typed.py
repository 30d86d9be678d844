"""Text that people typed: cleaned where it is taken, isolated where it is shown beside other text.

A right-to-left name reorders a number that stands beside it, unless it is isolated: by ``<bdi>`` in
HTML, by the isolating characters of Unicode wherever there are no tags.
"""

import re
import unicodedata

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

ISOLATE, END_OF_ISOLATE = "\u2068", "\u2069"

# Not seen, and no part of a word: what turns the direction, soft hyphens, zero-width spaces, tags.
# The zero-width joiners stay: Persian and Indic names are spelt with them.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_ISOLATED = re.compile(f"{ISOLATE}([^{ISOLATE}{END_OF_ISOLATE}]*){END_OF_ISOLATE}")


def clean_line(text: str) -> str:
    """One line: Unicode NFC, single spaces, nothing unseen; empty if nothing of it can be seen."""
    return _seen(" ".join(_without_unseen(text).split()))


def clean_text(text: str) -> str:
    """Several lines, each line break one ``\\n``; empty if nothing of it can be seen.

    Browsers send two characters for a line break and count one.
    """
    return _seen(_without_unseen(_LINE_ENDS.sub("\n", text)).strip())


def is_blank(text: str) -> bool:
    """Whether nothing can be seen: white space, formats, fillers, and marks without a letter."""
    return all(
        letter in _BLANKS or unicodedata.category(letter)[0] in "MZ" or _is_format(letter)
        for letter in text
    )


def _is_format(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf") and letter != "\0"


def _seen(text: str) -> str:
    return "" if is_blank(text) else text


def _without_unseen(text: str) -> str:
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text))


class Isolated(str):
    """A value that templates wrap in ``<bdi>`` by themselves. In an attribute, which holds no tags,
    ``|isolate`` says the same in characters."""

    __slots__ = ()

    def __html__(self) -> SafeString:
        """What Django's templates ask for instead of escaping."""
        shown = _UNSEEN.sub("", self)
        return mark_safe(f"<bdi>{escape(shown)}</bdi>" if shown else "")  # noqa: S308 - escaped


def isolated(value: object) -> str:
    """``value`` between isolating characters, for what holds no tags; empty stays empty."""
    shown = _UNSEEN.sub("", str(value))
    return f"{ISOLATE}{shown}{END_OF_ISOLATE}" if shown else ""


def with_tags(sentence: object) -> SafeString:
    """A sentence with values that ``isolated`` gave, as HTML: their isolates become ``<bdi>``."""
    if hasattr(sentence, "__html__"):
        return mark_safe(sentence.__html__())  # noqa: S308 - it says that it is safe
    return mark_safe(_ISOLATED.sub(r"<bdi>\1</bdi>", escape(str(sentence))))  # noqa: S308 - escaped
