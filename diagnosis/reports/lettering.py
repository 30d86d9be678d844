"""Names and remarks in the letters that the report's font can draw, in the order it draws them.

ReportLab sets one glyph after the other from left to right. So Arabic letters are given here the
forms in which they join, right-to-left text is put into the order in which it is seen (Unicode's
bidirectional algorithm without its explicit controls), and what the font lacks stands as its code
point, because an empty box could be anybody.
"""

import re
import unicodedata
from collections.abc import Container

MISSING = re.compile(r"\[U\+[0-9A-F]{4,6}\]")

_ARABIC_FORMS = (*range(0xFB50, 0xFDFE), *range(0xFE70, 0xFEFD))
_LAM_ALEF = range(0xFEF5, 0xFEFD)
_JOIN, _NO_JOIN, _TATWEEL = "\u200d", "\u200c", "\u0640"
_MIRRORED = str.maketrans("()[]{}<>«»‹›", ")(][}{><»«›‹")


def _forms() -> dict[str, dict[str, str]]:
    """By letter, and by the pair lam-alef, which is one glyph: the letter in each position."""
    found: dict[str, dict[str, str]] = {}
    for point in _ARABIC_FORMS:
        position, *letters = unicodedata.decomposition(chr(point)).split() or [""]
        if position and (len(letters) == 1 or point in _LAM_ALEF):
            key = "".join(chr(int(letter, 16)) for letter in letters)
            found.setdefault(key, {})[position.strip("<>")] = chr(point)
    return found


_FORMS = _forms()


def printable(text: str, glyphs: Container[int]) -> str:
    """``text`` in letters that can be printed, still in the order in which it is read.

    Args:
        text: whatever somebody typed; its line breaks stay, other control characters go.
        glyphs: code points that the font has.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = "".join(
        letter
        for letter in text.replace("\t", " ")
        if letter in "\n" + _JOIN + _NO_JOIN or unicodedata.category(letter) not in ("Cc", "Cf")
    )
    joined = _joined(text, glyphs).replace(_JOIN, "").replace(_NO_JOIN, "")
    return "".join(
        letter if letter == "\n" or ord(letter) in glyphs else f"[U+{ord(letter):04X}]"
        for letter in joined
    )


def reads_leftwards(text: str) -> bool:
    """Whether the first letter that has a direction is one of a right-to-left script."""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return False


def as_seen(line: str, *, leftwards: bool | None = None) -> str:
    """One line from left to right as the eye meets it.

    Args:
        line: what ``printable`` gave.
        leftwards: whether the paragraph it stands in runs to the left; else its own direction.
    """
    base = int(reads_leftwards(line) if leftwards is None else leftwards)
    clusters = re.findall(r".[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670]*", line, re.DOTALL)
    levels = _levels([cluster[0] for cluster in clusters], base)
    seen = [
        cluster.translate(_MIRRORED) if level % 2 else cluster
        for cluster, level in zip(clusters, levels, strict=True)
    ]
    for level in range(max(levels, default=0), 0, -1):
        _turn(seen, levels, level)
    return "".join(seen)


def _joined(text: str, glyphs: Container[int]) -> str:
    """Arabic letters in the form of their place in the word, where the font has it."""
    tokens = re.findall("\u0644[\u0622\u0623\u0625\u0627]|.", text, re.DOTALL)
    places = [at for at, token in enumerate(tokens) if unicodedata.category(token[0]) != "Mn"]
    for before, at, after in zip([None, *places], places, [*places[1:], None], strict=False):
        forms = _FORMS.get(tokens[at])
        if forms is None:
            continue
        left = before is not None and _joins_next(_plain(tokens[before]))
        right = after is not None and "initial" in forms and _joins_previous(tokens[after])
        left = left and "final" in forms
        position = ("medial" if right else "final") if left else "initial" if right else "isolated"
        form = forms.get(position, "")
        if form and ord(form) in glyphs:
            tokens[at] = form
    return "".join(tokens)


def _plain(token: str) -> str:
    """The letter of a form."""
    return unicodedata.normalize("NFKC", token)


def _joins_next(letter: str) -> bool:
    return letter in (_JOIN, _TATWEEL) or "initial" in _FORMS.get(letter, {})


def _joins_previous(letter: str) -> bool:
    return letter in (_JOIN, _TATWEEL) or "final" in _FORMS.get(letter, {})


def _levels(letters: list[str], base: int) -> list[int]:
    """The embedding level of each letter: odd runs to the left, even to the right."""
    kinds = _resolved([unicodedata.bidirectional(letter) for letter in letters], "LR"[base])
    level = {"L": 2 * base, "R": 1, "N": 2}
    return [level[kind] for kind in kinds]


def _resolved(classes: list[str], base: str) -> list[str]:
    """Each class as L, R or N (a number among letters that run to the left)."""
    kinds: list[str] = []
    strong = base
    for at, kind in enumerate(classes):
        number = "L" if strong == "L" else "N"
        before, after = _number(classes, at - 1), _number(classes, at + 1)
        if kind in ("L", "R", "AL"):
            strong = "L" if kind == "L" else "R"
            kinds.append(strong)
        elif (
            kind in ("EN", "AN")
            or (kind == "ET" and (before or after))  # a sign such as % belongs to its number
            or (kind in ("ES", "CS") and before and after)  # a point within one
        ):
            kinds.append(number)
        else:
            kinds.append("")
    for run in re.finditer("-+", "".join(kind or "-" for kind in kinds)):
        sides = {
            "R" if kind == "N" else kind
            for kind in (
                kinds[run.start() - 1] if run.start() else base,
                kinds[run.end()] if run.end() < len(kinds) else base,
            )
        }
        filling = sides.pop() if len(sides) == 1 else base
        kinds[run.start() : run.end()] = [filling] * (run.end() - run.start())
    return kinds


def _number(classes: list[str], at: int) -> bool:
    return 0 <= at < len(classes) and classes[at] in ("EN", "AN")


def _turn(seen: list[str], levels: list[int], level: int) -> None:
    """Turn round every run of at least ``level``; the levels turn with it."""
    start = 0
    while start < len(seen):
        end = start
        while end < len(seen) and levels[end] >= level:
            end += 1
        seen[start:end] = seen[start:end][::-1]
        levels[start:end] = levels[start:end][::-1]
        start = end + 1
