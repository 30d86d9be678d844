"""Names and remarks in the letters that the report's font can draw, in the order it draws them.

ReportLab sets one glyph after the other from left to right. So Arabic letters are given here the
forms in which they join, right-to-left text is put into the order in which it is seen, and what
the font lacks stands as its code point, because an empty box could be anybody.
"""

import re
import unicodedata
from collections.abc import Set

from arabic_reshaper import ArabicReshaper
from bidi.algorithm import get_base_level, get_display

from webapp.text.typed import END_OF_ISOLATE, ISOLATE

MISSING = re.compile(r"\[U\+[0-9A-F]{4,6}\]")

_ISOLATING = ISOLATE + END_OF_ISOLATE  # about a value, so that it does not turn what it stands in
_JOINERS = "\u200d\u200c"  # say whether Arabic letters join, and are not seen themselves
# Vowel signs stay, and of the ligatures only lam-alef, which is no matter of taste.
_RESHAPER = ArabicReshaper(
    {
        "delete_harakat": False,
        "RIAL SIGN": False,
        "ARABIC LIGATURE ALLAH": False,
    }
)
_ISOLATED = re.compile(f"{ISOLATE}([^{ISOLATE}{END_OF_ISOLATE}]*){END_OF_ISOLATE}")
_OBJECT = "\ufffc"  # stands in a line for what is isolated from it, and has no direction
# What may turn the order: scripts that run to the left, by their blocks, and what isolates.
_TURNING = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff"
    f"{_ISOLATING}{_OBJECT}]"
)
_SIGNS_BEFORE_LETTER = re.compile("([\u0591-\u05c7\u064b-\u065f\u0670]+)(.)", re.DOTALL)


def printable(text: str, glyphs: Set[int]) -> str:
    """``text`` in letters that can be printed, still in the order in which it is read.

    Args:
        text: whatever somebody typed; its line breaks stay, other control characters go.
        glyphs: code points that the font has.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.replace("\t", " ")
    text = text.translate({ord(letter): None for letter in set(text) if _is_control(letter)})
    if _TURNING.search(text):
        text = _RESHAPER.reshape(text)
    text = text.translate(dict.fromkeys(map(ord, _JOINERS)))
    lacking = {ord(letter) for letter in set(text) - set("\n" + _ISOLATING)} - glyphs
    return text.translate({point: f"[U+{point:04X}]" for point in lacking})


def _is_control(letter: str) -> bool:
    return (
        unicodedata.category(letter) in ("Cc", "Cf") and letter not in "\n" + _JOINERS + _ISOLATING
    )


def reads_leftwards(text: str) -> bool:
    """Whether the first letter that has a direction is one of a right-to-left script."""
    return bool(_TURNING.search(text)) and get_base_level(_outside(text)) == 1


def as_seen(line: str, *, leftwards: bool | None = None) -> str:
    """One line from left to right as the eye meets it.

    Args:
        line: what ``printable`` gave.
        leftwards: whether the paragraph it stands in runs to the left; else its own direction.
    """
    if not leftwards and not _TURNING.search(line):
        return line
    direction = None if leftwards is None else "R" if leftwards else "L"
    seen = get_display(_outside(line), base_dir=direction)
    for value in _ISOLATED.findall(line):
        seen = seen.replace(_OBJECT, as_seen(value), 1)
    # Where the order is turned, a letter's signs come before it; they are drawn over what is there.
    return _SIGNS_BEFORE_LETTER.sub(lambda found: found[2] + found[1][::-1], seen)


def _outside(line: str) -> str:
    """``line`` with an object in place of each isolated value; half an isolate goes."""
    held = _ISOLATED.sub(_OBJECT, line.replace(_OBJECT, ""))
    return "".join(letter for letter in held if letter not in _ISOLATING)
