"""What of a page is not isolated from the text beside it."""

import re
from html.parser import HTMLParser

from tests.pages.words import VOID

NAME, NUMBER, ACCESSION = "محمد العربي", "12345-838246", "7-1926"
# Whatever else people type, each in letters that run to the left.
READER, FILE, REASON, VIEW = "دكتور عادل", "صورة.png", "خلايا كبيرة", "قائمتي"
TRACKED = (NAME, NUMBER, ACCESSION, READER, FILE, REASON, VIEW)
# Not shown beside other text, or not at all: an input holds its value alone.
_ALONE = ("value", "href", "action", "datetime", "src", "content")
_OWN_LINE = ("bdi", "textarea", "option", "script", "style")


class _Walk(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.found: list[str] = []
        self.bare: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name, value in given.items():
            if name not in _ALONE and not name.startswith("data-held"):
                self.check(value, f"<{tag} {name}>", isolated=False)
        if tag not in VOID:
            self.open.append((tag, tag in _OWN_LINE or given.get("dir") == "auto"))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        where = "/".join(tag for tag, _ in self.open[-3:])
        self.check(data, where, isolated=any(isolates for _, isolates in self.open))

    def check(self, text: str, where: str, *, isolated: bool) -> None:
        """Note what stands in ``text``, and whether it is between isolating characters."""
        for value in TRACKED:
            for match in re.finditer(re.escape(value), text):
                self.found.append(value)
                before = text[: match.start()]
                if not isolated and before.rfind("\u2068") <= before.rfind("\u2069"):
                    self.bare.append(f"{value} in {where}: {text.strip()[:80]}")


def walk(page: str) -> tuple[set[str], list[str]]:
    """Which values a page shows, and where they are not isolated."""
    walk = _Walk()
    walk.feed(page)
    walk.close()
    return set(walk.found), walk.bare
