"""The PDF as a file: its pages, its letters, and the same bytes whenever it is made."""

import copy
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from diagnosis.core.intended_use import INTENDED_USE, RESEARCH_USE
from diagnosis.reports.content.snapshot import Document, content_sha256
from diagnosis.reports.pdf.document import render
from tests.diagnosis.reports.printed import concluded, in_order, read, signature, text

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def test_every_page_says_what_it_belongs_to(content: Document) -> None:
    many = content | {"fields": content["fields"] * 3}
    pages = read(render(many, [])).pages
    assert len(pages) >= 4
    for number, page in enumerate(pages, start=1):
        found = " ".join(page.extract_text().split())
        assert INTENDED_USE in found
        assert found.count(RESEARCH_USE) == 2, "the banner above and the intended use below"
        assert f"Page {number} of {len(pages)}" in found
        assert f"Accession H26-1 · report 1 · hash {content_sha256(many)[:16]}…" in found
        assert found.startswith("PRELIMINARY")
        # The head of the table comes again with each page that it goes on to.
        assert ("No. Field Software" in found) == ("Model category" in found)


def test_the_hash_of_the_content_is_printed(content: Document) -> None:
    assert f"Report hash {content_sha256(content)}" in text(render(content, []))


def test_the_file_describes_itself_without_a_patient_s_name(content: Document) -> None:
    document = concluded(content)
    file = read(render(document, [signature(document)]))
    assert file.metadata
    assert file.metadata.title == "Report on blood-smear fields H26-1, report 1"
    assert file.metadata.author == "Haematology, Example Hospital, Example Street 1"
    assert "Ada" not in repr(file.metadata)
    assert file.metadata.creation_date == datetime(2026, 7, 2, 6, 5, 4, tzinfo=UTC)
    root = file.trailer["/Root"]
    assert root["/Lang"] == "en-gb"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    top, parts = file.outline
    assert "H26-1" in top["/Title"]
    assert [part["/Title"] for part in parts] == [
        "Conclusion of the reader",
        "Suggestion of the software",
        "Fields",
        "Model all_smear, version 1",
        "Known limits",
        "Signatures",
        "Report hash",
    ]
    assert file.get_destination_page_number(parts[-1]) == len(file.pages) - 1


def test_all_fonts_are_embedded(content: Document) -> None:
    fonts = {
        font["/BaseFont"]: "/FontFile2" in font["/FontDescriptor"]
        for page in read(render(content, [])).pages
        for font in (entry.get_object() for entry in page["/Resources"]["/Font"].values())
        if "/FontDescriptor" in font
    }
    assert set(fonts.values()) == {True}
    assert {name.split("+")[-1] for name in fonts} == {"DejaVuSans", "DejaVuSans-Bold"}


def test_the_same_case_gives_the_same_bytes(content: Document) -> None:
    document = concluded(content)
    first = render(document, [signature(document)])
    assert render(copy.deepcopy(document), [signature(document)]) == first
    later = signature(document)
    later.signed_at += timedelta(minutes=1)
    assert render(document, [later]) != first


def test_the_reader_s_language_changes_nothing(content: Document) -> None:
    from django.utils import translation

    expected = render(content, [])
    with translation.override("de"):
        assert render(content, []) == expected


def test_pictures_are_those_of_the_case(content: Document) -> None:
    """A file that is not what was judged is not shown as if it were."""
    whole = render(content, [])
    assert sum(len(page.images) for page in read(whole).pages) == len(content["fields"])
    assert "Image missing" not in text(whole)
    content["fields"][0]["image_sha256"] = "0" * 64
    found = render(content, [])
    assert sum(len(page.images) for page in read(found).pages) == len(content["fields"]) - 1
    assert text(found).count("Image missing: the stored file is not the one that was judged.") == 1


def test_a_case_without_fields(content: Document) -> None:
    document = content | {"fields": [], "models": []}
    assert "Page 1 of 1" in text(render(document, []))


# --- What people type --------------------------------------------------------------------


def test_markup_is_printed_as_typed(content: Document) -> None:
    typed = '<b>&amp;</b> <img src="file:///etc/passwd"/> </para> <a href="x">&'
    content["patient"]["name"] = typed
    content["laboratory"] = typed
    content["fields"][0]["file_name"] = typed
    content["fields"][1]["reading"]["reason"] = typed
    content["fields"][1]["reading"]["reader"]["name"] = typed
    content["fields"][1]["predicted_class"] = typed
    content["models"][0]["name"] = typed
    document = concluded(content, comment=typed, reason=typed, agrees=False)
    found = text(render(document, [signature(document, name=typed)]))
    squeezed = found.replace(" ", "")
    assert squeezed.count(typed.replace(" ", "")) == 10


def test_long_words_wrap_and_nothing_is_cut(content: Document) -> None:
    document = concluded(content)
    before = text(render(document, [signature(document)])).count("W")
    word = "W" * 300
    content["patient"]["name"] = word
    content["fields"][0]["file_name"] = word
    content["fields"][1]["reading"]["reason"] = word
    document = concluded(content, comment=word * 6)
    data = render(document, [signature(document, name=word)])
    assert text(data).count("W") == 300 * 10 + before
    # Nothing is drawn beyond the margins: 42 points are left free on either side.
    for page in read(data).pages:
        seen: list[float] = []
        page.extract_text(
            visitor_text=lambda _, __, matrix, *___, seen=seen: seen.append(matrix[4])
        )
        assert max(seen) < 595 - 42


def test_a_row_that_is_longer_than_a_page_goes_on(content: Document) -> None:
    content["fields"][1]["reading"]["reason"] = "\U0001f600" * 500
    found = text(render(content, []))
    assert found.count("[") == 500 + 1, "and the footnote that explains them"
    assert "Report hash" in found


def test_letters_that_the_font_lacks(content: Document) -> None:
    footnote = "[U+…] stands for a character that the font of this report cannot draw"
    assert footnote not in text(render(content, []))
    content["patient"]["name"] = "\U00020bb7\U0001f600"
    found = text(render(content, []))
    in_order(found, "Patient [U+20BB7][U+1F600]", "Report hash", footnote)


def test_names_from_right_to_left_are_readable(content: Document) -> None:
    content["patient"]["name"] = "محمد علي"
    found = text(render(content, []))
    # Who reads the text out of a file turns it round again; joined letters are those letters.
    assert "Patient محمد علي" in unicodedata.normalize("NFKC", found)
    assert "[U+" not in found


def test_a_long_remark_from_right_to_left_begins_above(content: Document) -> None:
    """Lines are broken before they are turned: the first words stand in the first line."""
    words = [f"מילה{letter}" for letter in "אבגדהוזחטיכלמנסעפצקרשת"] * 3
    words *= 20  # and over the foot of the page
    document = concluded(content, comment=" ".join(words))
    pages = read(render(document, [signature(document)])).pages
    lines = [line for page in pages for line in page.extract_text().split("\n") if "מילה" in line]
    assert len(lines) > 60
    assert " ".join(lines).split() == words


def test_a_comment_keeps_its_lines_and_cannot_pass_for_the_report_s_words(
    content: Document,
) -> None:
    document = concluded(content, comment="First\nSigned by Nobody")
    page = read(render(document, [signature(document)])).pages[0]
    edges: dict[str, float] = {}

    def look(found: str, _: Any, matrix: Any, *__: Any) -> None:
        if found.strip():
            edges.setdefault(re.sub(r"\s+", " ", found.strip()), matrix[4])

    page.extract_text(visitor_text=look)
    assert edges["Signed by Nobody"] == edges["First"] == edges["Comment:"] + 10
