"""Every word that a page shows is marked for translation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template.base import Lexer, TokenType

from tests.pages.words import PageWords
from tests.product import ROOT

TEMPLATES = sorted(
    path.relative_to(ROOT)
    for app in ("webapp", "patients", "diagnosis")
    for path in (ROOT / app / "templates").rglob("*.html")
    if "admin" not in path.parts
)
# Parts of the report, included where the page says lang="en-GB".
ENGLISH = {Path("diagnosis/templates/diagnosis/_report_field.html")}

_LITERAL = r"""["']([^"']*)["']"""
# Literals that a template hands on: as words of an include, or in place of something empty.
_HANDED_ON = re.compile(
    rf"\b(?:label|caption|text|what|passed|failed|title)={_LITERAL}"
    rf"|\|(?:default|default_if_none|add|yesno|pluralize):{_LITERAL}"
)
MODULES = sorted(
    path.relative_to(ROOT)
    for app in ("patients", "diagnosis")
    for path in (ROOT / app).rglob("*.py")
    if not {"api", "management", "migrations"} & set(path.parts)
)
# Which arguments of a call are shown.
SAY = {
    **dict.fromkeys(("error", "success", "info", "warning"), slice(1, 2)),  # contrib.messages
    "add_error": slice(1, 2),
    "CaseError": slice(1, 2),
    "SavedViewError": slice(1, 2),
    "ImageRefusedError": slice(1, 3),
    "DomainError": slice(1, 3),
    "ChangeRefusedError": slice(1, 2),
    "DeletionRefusedError": slice(1, 2),
    "ValidationError": slice(0, 1),
}


def test_there_is_something_to_look_at() -> None:
    assert len(TEMPLATES) > 50
    assert len(MODULES) > 60
    assert set(TEMPLATES) >= ENGLISH


@pytest.mark.parametrize("template", [t for t in TEMPLATES if t not in ENGLISH], ids=str)
def test_every_word_of_a_template_is_marked(template: Path) -> None:
    assert unmarked((ROOT / template).read_text("utf-8")) == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_message_of_the_code_is_marked(module: Path) -> None:
    assert list(unmarked_messages((ROOT / module).read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("<p>Two words</p>", ["Two words"]),
        ('<p>{% translate "Marked" %} {{ name }}</p>', []),
        ("<p>{% blocktranslate trimmed %}Marked{% plural %}Many{% endblocktranslate %}</p>", []),
        ("<p>{% if a %}{{ n }} left{% else %}{% translate 'none' %}{% endif %}</p>", ["left"]),
        ('<button aria-label="Close">×</button>', ["Close"]),
        ('<td data-label="{% translate "Site" %}" class="words here"></td>', []),
        ('<div lang="en-GB"><div>English</div>here too</div>and here', ["and here"]),
        ('<p lang="en-GB"><br>English</p>', []),
        ('{% include "a.html" with label="Words" only %}', ["Words"]),
        ('{% include "a.html" with label=_("Words") kind="muted" only %}', []),
        ('{% include "a.html" with outcome=a|default:"unread" only %}', []),
        ('{{ name|default:"nobody" }}', ["nobody"]),
        ("{% comment %}For us{% endcomment %}<code>manage.py check</code><kbd>a</kbd>", []),
        ("<title>{% block title %}Untold{% endblock %} · Leukemia Detection</title>", ["Untold"]),
        ("<option>Untold</option>", ["Untold"]),
    ],
)
def test_the_check_sees_what_is_unmarked(template: str, words: list[str]) -> None:
    assert unmarked(template) == words


def test_the_check_sees_messages() -> None:
    code = 'messages.error(request, f"No {n}")\nCaseError("code", _("Yes"))\nlogger.error("No")'
    code += '\nValidationError({"name": "Wrong"}, "code")'
    assert sorted(unmarked_messages(code)) == ["No ", "Wrong"]


def unmarked(template: str) -> list[str]:
    """Words of a template that nobody can translate."""
    page = PageWords()
    marked_until = ""
    for token in Lexer(template).tokenize():
        name = token.split_contents()[0] if token.token_type == TokenType.BLOCK else ""
        if marked_until:
            marked_until = "" if name == marked_until else marked_until
        elif name in ("blocktranslate", "comment"):
            marked_until = f"end{name}"
        elif token.token_type == TokenType.TEXT:
            page.feed(token.contents)
        elif token.token_type != TokenType.COMMENT and name != "translate":
            for found in _HANDED_ON.finditer(token.contents):
                page.say(found[1] or found[2] or "")
    page.close()
    return page.words


def unmarked_messages(code: str) -> Iterator[str]:
    """What calls of ``SAY`` are given as it stands in the code."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = getattr(function, "attr", "") or getattr(function, "id", "")
        of = getattr(getattr(function, "value", None), "id", "")
        if name not in SAY or of == "logger":
            continue
        for argument in node.args[SAY[name]]:
            inner = isinstance(argument, ast.JoinedStr | ast.Dict)
            parts = argument.values if inner else [argument]  # type: ignore[attr-defined]
            for part in parts:
                said = getattr(part, "value", None) if isinstance(part, ast.Constant) else None
                if isinstance(said, str) and re.search(r"[^\W\d_]{2}", said):
                    yield said
