"""What a page, or a template without its tags, says to whoever reads or hears it."""

import re
from html.parser import HTMLParser

SHOWN = ("aria-label", "title", "alt", "placeholder", "label", "data-label")
# Names and formats that no language changes; "unread" stands for a badge.
SAME_EVERYWHERE = {"Leukemia", "Detection", "PDF", "sha256", "unread"}

UNSAID = ("script", "style", "code", "bdi")  # what somebody typed is no word of the page
VOID = {"img", "input", "link", "meta", "br", "hr"}


class PageWords(HTMLParser):
    """Gathers ``words``: each text and each spoken attribute, but those marked as English.

    Branches of a template need not be balanced, so only what is left out is followed to its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._skipped or tag in UNSAID or (given.get("lang") or "").startswith("en"):
            if tag not in VOID:
                self._skipped.append(tag)
            return
        for name in SHOWN:
            self.say(given.get(name) or "")

    def handle_endtag(self, tag: str) -> None:
        if self._skipped and tag == self._skipped[-1]:
            self._skipped.pop()

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.say(data)

    def say(self, text: str) -> None:
        """Note ``text`` if it holds a word; single letters are keys."""
        if set(re.findall(r"[^\W\d_][\w'’]+", text)) - SAME_EVERYWHERE:
            self.words.append(" ".join(text.split()))
