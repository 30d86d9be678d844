"""How a search compares: the same on every database, whatever its collation.

Upper and lower case, accents and the ways to compose a letter make no difference, nor do the forms
of one letter in Arabic and Persian, the two Turkish i, ß and ss, digits of other scripts, and what
cannot be seen. So "muller" finds Müller, and "müller" finds Muller.
"""

import unicodedata

# Four bytes a letter: what an index of InnoDB holds, with room to spare.
FOLDED_LENGTH = 600
SEARCH_LENGTH, SEARCH_WORDS = 200, 12

# Letters that Unicode does not take apart, in the base letter that people type instead.
_SAME = str.maketrans(
    {
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n",
        "æ": "ae", "œ": "oe", "þ": "th", "ĸ": "k",
        "ى": "ي", "ی": "ي", "ې": "ي", "ک": "ك", "ڪ": "ك", "ٱ": "ا", "ة": "ه", "ہ": "ه", "ە": "ه",
        "ھ": "ه", "ـ": "",
        "’": "'", "‘": "'", "ʼ": "'", "ʻ": "'", "`": "'", "´": "'",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-",
    }
)  # fmt: skip
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def folded(text: str) -> str:
    """``text`` as it is compared, at most ``FOLDED_LENGTH`` letters; folded again, the same."""
    text = unicodedata.normalize("NFKC", text.translate(_SAME)).casefold()
    text = unicodedata.normalize("NFKD", text)
    kept = "".join(_digit(letter) for letter in text if not _is_dropped(letter))
    return unicodedata.normalize("NFC", kept.translate(_SAME))[:FOLDED_LENGTH]


def words(search: str) -> list[str]:
    """The folded words of a search, each once, in their order."""
    return list(dict.fromkeys(folded(search).split()))


def _is_dropped(letter: str) -> bool:
    """Accents, Hebrew and Arabic points, and formats. Vowel signs of other scripts are letters."""
    combining = unicodedata.combining(letter)
    accent = combining >= 200 or 10 <= combining <= 36
    format_ = unicodedata.category(letter) in ("Cf", "Cc") and not letter.isspace()
    selector = "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"
    return accent or format_ or selector or letter in _UNSEEN


def _digit(letter: str) -> str:
    value = unicodedata.decimal(letter, None)
    return letter if value is None else str(value)
