"""The report's fonts as one: whatever a name is written in, ReportLab is told of a single font.

What DejaVu Sans lacks is drawn in the fonts beside it, which have one weight.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfbase.ttfonts import TTFont

from diagnosis.reports.pdf.syllables import FIRST, LAST, Script, SyllableFont, points_of
from diagnosis.reports.pdf.text_shaping import MISSING

FONTS = Path(__file__).parent / "fonts"
REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
LETTER_BY_LETTER = ("DroidSansFallback", "ReportHangul", "NotoSansEthiopic")
IN_SYLLABLES = (
    "NotoSansDevanagari", "NotoSansThai", "NotoSansBengali", "NotoSansGurmukhi", "NotoSansGujarati",
    "NotoSansTamil", "NotoSansTelugu", "NotoSansKannada", "NotoSansMalayalam", "NotoSansSinhala",
    "NotoSansKhmer", "NotoSansMyanmar",
)  # fmt: skip


class ReportFont(TTFont):
    """A font with others behind it for the characters that it lacks."""

    def __init__(self, name: str, others: list[Callable[[], Any]], choice: dict[int, int]) -> None:
        """``choice``: which of ``others`` draws a code point; syllables are drawn by the last.

        They are asked for when they are needed: reading a font of 20,000 letters takes a while.
        """
        super().__init__(name, _file(name), shapable=False)
        self._others, self._choice = others, choice
        self._foreign = re.compile(f"[{_ranges(choice)}{chr(FIRST)}-{chr(LAST)}]")

    def stringWidth(self, text: str, size: float, encoding: str = "utf8") -> float:
        """In points."""
        return sum(
            super(ReportFont, self).stringWidth(run, size)
            if number < 0
            else self._others[number]().stringWidth(run, size)
            for number, run in self._runs(text)
        )

    def splitString(self, text: str, doc: Any, encoding: str = "utf-8") -> list[Any]:
        """Subsets, each with its codes; a subset is known by its font and its number there."""
        found = []
        for number, run in self._runs(text):
            split = super().splitString if number < 0 else self._others[number]().splitString
            found += [((number, subset), codes) for subset, codes in split(run, doc)]
        return found

    def getSubsetInternalName(self, subset: Any, doc: Any) -> str:
        """The name under which pages refer to a subset; ReportLab's own are of this font."""
        number, subset = subset if isinstance(subset, tuple) else (-1, subset)
        if number < 0:
            return str(super().getSubsetInternalName(subset, doc))
        return str(self._others[number]().getSubsetInternalName(subset, doc))

    def _runs(self, text: str) -> Iterator[tuple[int, str]]:
        """Stretches of one font: -1 for this one."""
        if not self._foreign.search(text):
            yield -1, text
            return
        start, current = 0, self._number(text[0])
        for place, letter in enumerate(text):
            number = self._number(letter)
            if number != current:
                yield current, text[start:place]
                start, current = place, number
        yield current, text[start:]

    def _number(self, letter: str) -> int:
        if FIRST <= ord(letter) <= LAST:
            return len(self._others) - 1
        return self._choice.get(ord(letter), -1)


@cache
def _fonts() -> tuple[frozenset[int], SyllableFont]:
    """What can be drawn, and the font of syllables; makes the fonts known to ReportLab.

    Up to U+FFFF: ReportLab misspells what lies beyond in the table from which readers copy and
    search text, and with it the whole font's.
    """
    own = points_of(_file(REGULAR)) & points_of(_file(BOLD))
    syllables = SyllableFont(
        "Syllables", [Script(_file(name), without=own) for name in IN_SYLLABLES],
        Script(_file(REGULAR)),
    )  # fmt: skip
    choice = {
        point: number
        for number, name in reversed(list(enumerate(LETTER_BY_LETTER)))
        for point in points_of(_file(name)) - own - syllables.covers
        if 32 < point <= 0xFFFF
    }
    others: list[Callable[[], Any]] = [
        *(partial(_letter_by_letter, name) for name in LETTER_BY_LETTER),
        lambda: syllables,
    ]
    for name in (REGULAR, BOLD):
        registerFont(ReportFont(name, others, choice))
    points = own | choice.keys() | syllables.covers
    return frozenset(point for point in points if point <= 0xFFFF), syllables


def glyphs() -> frozenset[int]:
    """Code points that can be printed; asking for them makes the fonts known to ReportLab."""
    return _fonts()[0]


def composed(text: str) -> str:
    """What ``printable`` gave, with a character for each part that no line may tear apart.

    Those are the syllables of scripts that have them, and the code points of what cannot be drawn.
    """
    return _fonts()[1].compose(text, MISSING)


@cache
def _letter_by_letter(name: str) -> TTFont:
    return TTFont(name, _file(name), shapable=False)


def _file(name: str) -> Path:
    return FONTS / f"{name}.ttf"


def _ranges(points: dict[int, int]) -> str:
    """The inside of a regular expression's brackets, short enough to be quick."""
    found: list[list[int]] = []
    for point in sorted(points):
        if found and point == found[-1][1] + 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in found)
