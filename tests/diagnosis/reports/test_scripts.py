"""Names in scripts of the whole world: drawn, not torn apart, and found by who searches."""

import pytest
from pypdf.generic import StreamObject
from reportlab.platypus import Paragraph

from diagnosis.reports.content.snapshot import Document
from diagnosis.reports.pdf.document import render
from diagnosis.reports.pdf.page import paragraphs
from diagnosis.reports.pdf.typefaces import composed
from tests.diagnosis.reports.printed import concluded, read, text

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

NAMES = [
    "राधाकृष्णन श्रीमती हिन्दी",
    "สมชาย ใจดี ผู้ป่วย น้ำ",
    "李雷 東京 カタカナ ひらがな",
    "김철수 대한민국",
    "বাংলা কৃষ্ণ",
    "தமிழ் கொள்கை",
    "ខ្មែរ ភាសា",
    "አማርኛ",
    "Nguyễn Thị Ánh",
]


def test_names_are_drawn_and_found_in_any_script(content: Document) -> None:
    content["patient"]["name"] = " · ".join(NAMES)
    content["fields"][0]["file_name"] = "标本.jpg"
    document = concluded(content, comment="\n".join(NAMES))
    data = render(document, [])
    found = text(data)
    for name in NAMES:
        assert found.count(name) == 2, name
    assert "标本.jpg" in found
    assert "[U+" not in found
    assert render(document, []) == data, "whatever was printed before it"
    assert len(data) - len(render(content | {"patient": content["patient"]}, [])) < 200_000


def test_what_was_printed_before_leaves_nothing_in_a_document(content: Document) -> None:
    content["patient"]["name"] = "हिन्दी"
    first = render(content, [])
    render(content | {"laboratory": "क्षत्रिय श्रीमती"}, [])
    assert render(content, []) == first


@pytest.mark.parametrize("letter", ["\u1b05", "\ue000", "\U0001f600", "\ud800"])
@pytest.mark.parametrize("length", range(1, 12, 2))
def test_a_code_point_is_never_torn_over_two_lines(letter: str, length: int) -> None:
    for before in ("x" * length, "ש" * length):
        lines = _lines(before + f"{letter}" * 40)
        assert len(lines) > 3
        for line in lines:
            assert line.count("[") == line.count("]")


def test_signs_without_end_stay_on_the_paper() -> None:
    assert len(_lines("क" + "\u094d\u0924" * 200)) > 3
    assert len(_lines("ท" + "\u0e49" * 400)) >= 1


def test_a_syllable_is_never_torn_over_two_lines() -> None:
    lines = _lines("x" + "न्दी" * 40)
    assert len(lines) > 3
    assert all(line.endswith("न्दी") for line in lines)


def _lines(typed: str) -> list[str]:
    """The lines of a narrow paragraph, as they read."""
    (paragraph,) = paragraphs(typed)
    assert isinstance(paragraph, Paragraph)
    paragraph.wrap(100, 1000)
    says = {composed(part): part for part in ("न्दी", "[U+1B05]", "[U+E000]")}
    says |= {composed(part): part for part in ("[U+1F600]", "[U+D800]")}
    found = []
    for _, words in paragraph.blPara.lines:
        line = " ".join(words)
        for character, part in says.items():
            line = line.replace(character, part)
        found.append(line)
    return found


def test_syllables_are_letters_with_an_outline(content: Document) -> None:
    content["patient"]["name"] = "हिन्दी"
    fonts = {
        font["/Subtype"]: font
        for page in read(render(content, [])).pages
        for font in (entry.get_object() for entry in page["/Resources"]["/Font"].values())
    }
    syllables = fonts["/Type3"]
    outlines = [outline.get_object() for outline in syllables["/CharProcs"].values()]
    assert len(outlines) == len(syllables["/Widths"]) == 2, "hi and ndi"
    for outline, width in zip(outlines, syllables["/Widths"], strict=True):
        assert isinstance(outline, StreamObject)
        assert outline.get_data().startswith(f"{float(width)} 0 d0 ".encode())
