"""Names in other scripts come out readable, or say that they do not."""

import pytest

from diagnosis.reports.pdf.text_shaping import as_seen, printable, reads_leftwards
from diagnosis.reports.pdf.typefaces import glyphs


def seen(text: str) -> str:
    return as_seen(printable(text, glyphs()))


@pytest.mark.parametrize(
    "text",
    [
        "Ada Example",
        "Zoë Müller-Łukasiewicz",
        "Ольга Петрова",
        "Γιώργος",
        "Nguyễn Thị Ánh",
        "3 < 4 & 5",
        "हिन्दी",
        "สมชาย ใจดี",
        "李雷 東京 カタカナ ひらがな",
        "김철수",
        "বাংলা தமிழ் ខ្មែរ አማርኛ",
    ],
)
def test_what_the_font_has_stays(text: str) -> None:
    assert seen(text) == text


def test_what_the_font_lacks_stands_as_its_code_point() -> None:
    assert seen("\U00020bb7 (Li Lei)") == "[U+20BB7] (Li Lei)"
    assert seen("\ue000") == "[U+E000]"
    assert seen("\ud800") == "[U+D800]", "half a character, which no PDF could hold"


def test_control_characters_go_and_line_breaks_stay() -> None:
    typed = "a\x00b\x1b[31m\u202ec\u200b\ttab\r\nnext\rlast"
    assert printable(typed, glyphs()) == "ab[31mc tab\nnext\nlast"


def test_a_letter_and_its_accent_become_one() -> None:
    assert seen("e\u0301") == "é"


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("محمد", "FEE3 FEA4 FEE4 FEAA"),  # initial, medial, medial, final
        ("دار", "FEA9 FE8D FEAD"),  # none of them joins the next: all isolated
        ("سلام", "FEB3 FEFC FEE1"),  # lam-alef is one glyph, and joins nothing after it
        ("پگاه", "FB58 FB95 FE8E FEE9"),  # Persian
        ("می\u200cروم", "FEE3 FBFD FEAD FEED FEE1"),  # a zero-width non-joiner parts
        ("مُحمد", "FEE3 064F FEA4 FEE4 FEAA"),  # a vowel sign does not
    ],
)
def test_arabic_letters_join(text: str, forms: str) -> None:
    joined = printable(text, glyphs())
    assert " ".join(f"{ord(letter):04X}" for letter in joined) == forms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("שלום עולם", "םלוע םולש"),
        ("שלום (abc 12) עולם", "םלוע (abc 12) םולש"),
        ("Dr. שלום עולם MD", "Dr. םלוע םולש MD"),
        ("Tel 12.5 שלום 3,4 (x)", "Tel 12.5 3,4 םולש (x)"),
        ("שלום [12.50]", "[12.50] םולש"),
        ("אבג: 7%", "7% :גבא"),
        ("שָׁלוֹם", "םוֹלשָׁ"),
        ("", ""),
    ],
)
def test_right_to_left_text_in_the_order_it_is_seen(text: str, expected: str) -> None:
    assert as_seen(text) == expected


def test_direction_of_a_paragraph() -> None:
    assert reads_leftwards("12 שלום abc")
    assert not reads_leftwards("12 abc שלום")
    assert not reads_leftwards("12 (!)")
