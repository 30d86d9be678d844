"""axe-core, bundled with its Python package, on an open page."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WORDS = [
    "aria-command-name",
    "aria-input-field-name",
    "button-name",
    "document-title",
    "empty-heading",
    "html-has-lang",
    "html-lang-valid",
    "image-alt",
    "label",
    "link-name",
    "select-name",
    "svg-img-alt",
    "valid-lang",
]
COLOURS = ["color-contrast", "link-in-text-block"]


def violations(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """What axe finds wrong, one line an element.

    Args:
        rules: only these; otherwise all of WCAG 2.2 AA and of best practice.
    """
    only: dict[str, Any] = {"type": "rule", "values": rules}
    if rules is None:
        only = {"type": "tag", "values": TAGS}
    found = Axe().run(page, options={"resultTypes": ["violations"], "runOnly": only}).response
    return [
        f"{violation['id']}: {node['html'][:160]} ({violation['help']})"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
