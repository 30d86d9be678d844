"""Scripts whose letters change their form, place and order beside each other, as PDF text.

ReportLab draws one glyph for each character. Here HarfBuzz sets a whole syllable of such a script,
and the syllable becomes one letter of a font that is made for the document (Type 3): it is drawn as
it was set, no line is broken within it, and who copies or searches finds it as it was typed.
Lengths are in thousandths of the size of the letters.
"""

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import uharfbuzz
from reportlab.pdfbase import pdfdoc

FIRST, LAST = 0xF0000, 0xFFFFD  # private code points that stand for syllables in this process
LONGEST = 12  # characters of one syllable
_PER_SUBSET = 256
_VIRAMA = 9  # canonical combining class of the sign that ties a letter to the next one


@dataclass(frozen=True)
class Syllable:
    """One letter of the font: what it says, how wide it is, and its outline as PDF operators."""

    text: str
    width: float
    outline: str


def _face(path: Path) -> uharfbuzz.Face:
    return uharfbuzz.Face(uharfbuzz.Blob.from_file_path(str(path)))


def points_of(path: Path) -> frozenset[int]:
    """Code points that a font file has glyphs for."""
    return frozenset(_face(path).unicodes)


class Script:
    """A font file whose letters have to be set together."""

    def __init__(self, path: Path, without: frozenset[int] = frozenset()) -> None:
        """``without``: code points that another font draws."""
        face = _face(path)
        self._font = uharfbuzz.Font(face)
        self._scale = 1000 / face.upem
        self.covers = frozenset(face.unicodes) - without - {0x20, 0x25CC}

    def syllables(self, text: str, *, whole: bool = False) -> Iterator[Syllable]:
        """Set ``text``, which is in letters of the font alone.

        Args:
            whole: all of it is one syllable.
        """
        buffer = uharfbuzz.Buffer()
        buffer.add_str(text)
        buffer.guess_segment_properties()
        uharfbuzz.shape(self._font, buffer)
        placed = list(zip(buffer.glyph_infos, buffer.glyph_positions, strict=True))
        starts = sorted(
            {0} if whole else {info.cluster for info, _ in placed if _parts(text, info)}
        )
        for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
            if end - start > LONGEST and not whole:  # no word of any language
                for place in range(start, end, LONGEST):
                    yield from self.syllables(text[place : min(place + LONGEST, end)], whole=True)
                continue
            part = [one for one in placed if start <= one[0].cluster < end]
            yield self._set(text[start:end], part)

    def _set(self, text: str, placed: list[Any]) -> Syllable:
        pen, x = _Pen(self._scale), 0.0
        for info, position in placed:
            pen.place(x + position.x_offset, position.y_offset)
            self._font.draw_glyph_with_pen(info.codepoint, pen)
            x += position.x_advance
        return Syllable(text, round(x * self._scale, 2), " ".join(pen.operators))


def _parts(text: str, info: Any) -> bool:
    """Whether a syllable may begin here: not behind the sign that ties two letters."""
    before = text[info.cluster - 1] if info.cluster else " "
    return unicodedata.combining(before) != _VIRAMA


class _Pen:
    """Writes the outline of glyphs as PDF operators; TrueType's curves become cubic ones."""

    def __init__(self, scale: float) -> None:
        self.operators: list[str] = []
        self._scale, self._x, self._y, self._at = scale, 0.0, 0.0, (0.0, 0.0)

    def place(self, x: float, y: float) -> None:
        """Where the next glyph stands."""
        self._x, self._y = x, y

    def moveTo(self, point: tuple[float, float]) -> None:
        self._add("m", point)

    def lineTo(self, point: tuple[float, float]) -> None:
        self._add("l", point)

    def qCurveTo(self, control: tuple[float, float], end: tuple[float, float]) -> None:
        first, second = (
            tuple(a + 2 * (b - a) / 3 for a, b in zip(near, control, strict=True))
            for near in (self._at, end)
        )
        self._add("c", first, second, end)

    def curveTo(self, *points: tuple[float, float]) -> None:
        self._add("c", *points)

    def closePath(self) -> None:
        self.operators.append("h")

    def _add(self, operator: str, *points: Any) -> None:
        for x, y in points:
            self.operators += (
                f"{(x + self._x) * self._scale:.1f}".removesuffix(".0"),
                f"{(y + self._y) * self._scale:.1f}".removesuffix(".0"),
            )
        self.operators.append(operator)
        self._at = points[-1]


class SyllableFont:
    """A font of ReportLab's whose letters are the syllables that texts turned out to need.

    A syllable has one private code point for as long as the process lives. Of those nothing is
    left in a document, so that it has the same bytes whatever was printed before it.
    """

    _dynamicFont = _multiByte = 1
    shapable = False

    def __init__(self, name: str, scripts: Iterable[Script], plain: Script) -> None:
        """``plain`` sets what ``compose`` is told to keep together."""
        self.fontName, self._scripts, self._plain = name, list(scripts), plain
        self.face = SimpleNamespace(name=name, ascent=1000, descent=-300)
        self._known: dict[Syllable, str] = {}
        self._syllables: list[Syllable] = []
        self._lock = threading.Lock()
        self._used: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()

    @cached_property
    def covers(self) -> frozenset[int]:
        """All code points that are drawn as syllables."""
        return frozenset().union(*(script.covers for script in self._scripts))

    def compose(self, text: str, whole: re.Pattern[str]) -> str:
        """``text`` with a private character for each syllable, and for what ``whole`` matches."""
        if text.isascii() and not whole.search(text):
            return text
        with self._lock:
            text = whole.sub(lambda found: self._of(self._plain, found[0], whole=True), text)
            for script, pattern in self._patterns:
                parts = pattern.split(text)  # what is caught stands at the odd places
                parts[1::2] = [self._of(script, run) for run in parts[1::2]]
                text = "".join(parts)
        return text

    @cached_property
    def _patterns(self) -> list[tuple[Script, re.Pattern[str]]]:
        return [(script, pattern_of(script.covers)) for script in self._scripts]

    def _of(self, script: Script, text: str, *, whole: bool = False) -> str:
        return "".join(map(self._character, script.syllables(text, whole=whole)))

    def _character(self, syllable: Syllable) -> str:
        character = self._known.get(syllable)
        if character is None:
            if FIRST + len(self._syllables) > LAST:
                return "\N{REPLACEMENT CHARACTER}" * len(syllable.text)
            character = self._known[syllable] = chr(FIRST + len(self._syllables))
            self._syllables.append(syllable)
        return character

    def _syllable(self, character: str) -> Syllable:
        return self._syllables[ord(character) - FIRST]

    # --- What ReportLab asks of a font ---------------------------------------------------------

    def stringWidth(self, text: str, size: float, encoding: str = "utf8") -> float:
        """In points."""
        return sum(self._syllable(letter).width for letter in text) * size / 1000

    def splitString(self, text: str, doc: Any, encoding: str = "utf8") -> list[tuple[int, bytes]]:
        """Subsets of the font, each with the codes of the letters that are drawn in it."""
        used = self._used.setdefault(doc, {})
        places = [used.setdefault(letter, len(used)) for letter in text]
        return [(place // _PER_SUBSET, bytes([place % _PER_SUBSET])) for place in places]

    def getSubsetInternalName(self, subset: int, doc: Any) -> str:
        """The name under which pages refer to the font."""
        if self.fontName not in doc.fontMapping:
            doc.fontMapping[self.fontName] = f"/F{len(doc.fontMapping) + 1}"
            doc.delayedFonts.append(self)
        return f"{doc.fontMapping[self.fontName]}+{subset}"

    def addObjects(self, doc: Any) -> None:
        """Write the font, called when the document is complete."""
        letters = [self._syllable(letter) for letter in self._used.pop(doc)]
        for number, start in enumerate(range(0, len(letters), _PER_SUBSET)):
            name = self.getSubsetInternalName(number, doc)[1:]
            font = _type3(doc, name, letters[start : start + _PER_SUBSET])
            doc.Reference(font, name)
            doc.idToObject["BasicFonts"].dict[name] = font


def pattern_of(points: Iterable[int]) -> re.Pattern[str]:
    """Catches a run of these characters."""
    return re.compile("([" + "".join(re.escape(chr(point)) for point in sorted(points)) + "]+)")


def _type3(doc: Any, name: str, letters: list[Syllable]) -> pdfdoc.PDFDictionary:
    """One subset: an outline for each code from 0 on, and what it says."""
    outlines = {
        f"s{code}": _stream(doc, f"{name}:s{code}", f"{letter.width} 0 d0 {letter.outline} f")
        for code, letter in enumerate(letters)
    }
    return pdfdoc.PDFDictionary(
        {
            "Type": pdfdoc.PDFName("Font"),
            "Subtype": pdfdoc.PDFName("Type3"),
            "Name": pdfdoc.PDFName(name),
            "FontBBox": pdfdoc.PDFArray([-500, -600, 3000, 1300]),
            "FontMatrix": pdfdoc.PDFArray([0.001, 0, 0, 0.001, 0, 0]),
            "CharProcs": pdfdoc.PDFDictionary(outlines),
            "Encoding": pdfdoc.PDFDictionary(
                {
                    "Type": pdfdoc.PDFName("Encoding"),
                    "Differences": pdfdoc.PDFArray([0, *map(pdfdoc.PDFName, outlines)]),
                }
            ),
            "FirstChar": 0,
            "LastChar": len(letters) - 1,
            "Widths": pdfdoc.PDFArray([letter.width for letter in letters]),
            "Resources": pdfdoc.PDFDictionary({}),
            "ToUnicode": _stream(doc, f"{name}:unicode", _to_unicode(letters)),
        }
    )


def _stream(doc: Any, name: str, content: str) -> Any:
    stream = pdfdoc.PDFStream(content=content)
    if doc.compression:
        stream.filters = [pdfdoc.PDFZCompress]
    return doc.Reference(stream, name)


def _to_unicode(letters: list[Syllable]) -> str:
    """The table from which readers copy and search."""
    lines = [
        f"<{code:02X}> <{letter.text.encode('utf-16-be').hex().upper()}>"
        for code, letter in enumerate(letters)
    ]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    body = "\n".join(
        f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks
    )
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Syllables def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<00> <FF>\nendcodespacerange\n{body}\n"
        "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend"
    )
