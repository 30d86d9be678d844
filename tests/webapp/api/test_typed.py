"""What people type: cleaned when it is taken, isolated when it is shown."""

import pytest
from django.template import engines

from webapp.text.typed import Isolated, clean_line, clean_text, is_blank, isolated, with_tags

NAME = "محمد العربي"


UNSEEN = (
    "\\u202a \\u202b \\u202c \\u202d \\u202e \\u2066 \\u2067 \\u2068 \\u2069 \\u200e "
    "\\u200f \\u061c \\u200b \\u00ad \\ufeff \\u2060 \\U000e0041"
)
BLANKS = (
    "\\u200b\\u200b \\u2800 \\u00ad\\u00ad \\u3164 \\u115f\\u1160 \\uffa0 \\u034f \\ufe0f "
    "\\U000e0100 \\u0301\\u0301 \\u093f \\u200d \\u200c \\u180e \\x07 \\u3000 \\u00a0\\u2003 "
    "\\u17b4 \\u2028 \\u2068\\u2069 \\u0600 \\u20dd"
)


def spelt(text: str) -> list[str]:
    """The letters behind escapes; nobody could see them in a source file."""
    return [part.encode().decode("unicode_escape") for part in text.split()]


@pytest.mark.parametrize("unseen", spelt(UNSEEN))
def test_what_turns_the_direction_or_is_not_seen_goes(unseen: str) -> None:
    assert clean_line(f"{unseen}An{unseen}na {unseen} B{unseen}") == "Anna B"
    assert clean_text(f"a{unseen}b\n{unseen}c") == "ab\nc"


@pytest.mark.parametrize("name", ["می\u200cروم", "ක්\u200dරි", "葛\U000e0100", "O’Brien-Łoś", "-"])
def test_what_names_are_spelt_with_stays(name: str) -> None:
    assert clean_line(name) == clean_text(name) == name


@pytest.mark.parametrize("blank", ["", " ", *spelt(BLANKS)])
def test_what_nobody_sees_is_nothing(blank: str) -> None:
    assert is_blank(blank)
    assert clean_line(blank) == clean_text(blank) == ""


def test_a_line_break_is_one_character() -> None:
    assert clean_text("a\r\nb\rc\u2028d\n") == "a\nb\nc\nd"


def test_a_letter_and_its_accent_become_one() -> None:
    assert clean_line("Zoe\u0308") == clean_text("Zoe\u0308") == "Zo\u00eb"


def test_a_value_between_isolating_characters() -> None:
    assert isolated(NAME) == f"\u2068{NAME}\u2069"
    assert isolated("\u202eab\u2069") == "\u2068ab\u2069", "it could end its isolate itself"
    assert isolated("") == ""


def test_templates_isolate_by_themselves_and_escape() -> None:
    template = engines["django"].from_string(
        '<a title="{{ name|isolate }}">{{ name }}</a> {{ plain|bdi }} {{ none|bdi }}'
        "{{ said|tagged }}"
    )
    context = {"name": Isolated("<Ann>"), "plain": "B&\u202eC", "none": None}
    context["said"] = f"<{isolated('&1')}>"
    assert template.render(context) == (
        '<a title="\u2068&lt;Ann&gt;\u2069"><bdi>&lt;Ann&gt;</bdi></a> <bdi>B&amp;C</bdi> '
        "&lt;<bdi>&amp;1</bdi>&gt;"
    )


def test_a_sentence_with_half_an_isolate_stays_a_sentence() -> None:
    assert with_tags("a\u2068b") == "a\u2068b"
    assert with_tags("a\u2069b\u2068c\u2069") == "a\u2069b<bdi>c</bdi>"
