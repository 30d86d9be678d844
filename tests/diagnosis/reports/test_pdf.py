"""The PDF says all that a report has to say, in order, and the same whenever it is made."""

import copy
import io
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from pypdf import PdfReader
from pytest_django import Settings

from diagnosis.media import media_path
from diagnosis.models import Signature
from diagnosis.reports.content import Document, content_sha256
from diagnosis.reports.pdf import render
from diagnosis.reports.wording import INTENDED_USE, RESEARCH_USE
from diagnosis.signoff import case_amend, draft
from patients.models import Specimen
from tests.diagnosis.reports.made import REASON, UNUSABLE, case_of, sign

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def read(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data), strict=True)


def text(data: bytes) -> str:
    """All words in the order of reading, white space collapsed."""
    return " ".join(" ".join(page.extract_text() for page in read(data).pages).split())


def in_order(found: str, *parts: str) -> None:
    """Each of ``parts`` stands behind the one before it."""
    at = 0
    for part in parts:
        assert part in found[at:], f"{part!r} is not there, or not behind what stands before it"
        at = found.index(part, at) + len(part)


@pytest.fixture
def content(read_case: Specimen) -> Document:
    """Of the case that all have read and nobody has signed."""
    return draft(case_of(read_case))[0]


@pytest.fixture
def final(read_case: Specimen, reader: User) -> bytes:
    """The stored PDF of the signed case."""
    report = sign(reader, read_case, comment="Blasts in two fields.")
    assert report
    return media_path(report.pdf_name).read_bytes()


def signature(content: Document, name: str = "Grace Hopper", **changes: Any) -> Signature:
    return Signature(
        printed_name=name,
        meaning="review",
        content_sha256=content_sha256(content),
        signed_at=datetime(2026, 7, 2, 6, 5, 4, tzinfo=UTC),
        **changes,
    )


def concluded(content: Document, **changes: Any) -> Document:
    """``content`` with a conclusion."""
    conclusion = {
        "headline": "suspicious",
        "comment": "",
        "reason": "",
        "agrees": True,
        "author": {"id": 1, "username": "clinician", "name": "Grace Hopper"},
        "at": "2026-07-02T06:05:04+00:00",
    }
    return {**copy.deepcopy(content), "conclusion": {**conclusion, **changes}}


# --- The checklist -----------------------------------------------------------------------


def test_whose_it_is(content: Document) -> None:
    in_order(
        text(render(content, [])),
        "Haematology, Example Hospital, Example Street 1",
        "Report on blood-smear fields: H26-1",
        "PRELIMINARY – AI, UNVERIFIED",
        "Patient Ada Example",
        "Specimen Peripheral blood",
        "Medical record number MRN-7",
        "Stain Wright-Giemsa",
        "Date of birth 9 Mar 2017",
        "Magnification (objective) 100×, oil immersion",
        "Sex Female",
        "Collected 1 Mar 2026, 09:30 +01:00 (Europe/Berlin)",
        "Accession number H26-1",
        "Received 1 Jul 2026, 10:30 +02:00 (Europe/Berlin)",
    )


def test_what_nobody_has_signed_is_preliminary(content: Document) -> None:
    found = text(render(content, []))
    in_order(
        found,
        "PRELIMINARY – AI, UNVERIFIED Nobody has signed this.",
        "Conclusion of the reader No reader has concluded on this case yet.",
        "Suggestion of the software Suspicious",
        "Signatures No signature.",
    )
    assert "FINAL" not in found


@pytest.mark.parametrize("missing", ["signature", "conclusion"])
def test_nothing_is_final_without_signature_and_conclusion(content: Document, missing: str) -> None:
    document = content if missing == "conclusion" else concluded(content)
    signatures = [] if missing == "signature" else [signature(document)]
    assert "FINAL" not in text(render(document, signatures))


def test_a_final_report(final: bytes) -> None:
    found = text(final)
    in_order(
        found,
        "FINAL FINAL means that the reader's reading of these fields is complete.",
        "Conclusion of the reader Suspicious",
        "Concluded by Grace Hopper",
        "Agrees with what the software suggests (Suspicious).",
        "Comment: Blasts in two fields.",
        "Suggestion of the software Suspicious",
        "not a diagnosis",
        "1 of 3 usable fields is.",
        "Fields 3 used, 1 refused, 1 failed, 0 waiting; 5 in all",
        "Known limits",
        "Signatures Grace Hopper",
        "+0",
        "(Europe/Berlin) Review: I have read every usable field",
        "Report hash",
    )
    assert "PRELIMINARY" not in found


def test_a_conclusion_that_overrides_gives_its_reason(read_case: Specimen, reader: User) -> None:
    report = sign(reader, read_case, headline="indeterminate", reason="Too few cells")
    assert report
    in_order(
        text(media_path(report.pdf_name).read_bytes()),
        "Conclusion of the reader Indeterminate",
        "Overrides what the software suggests (Suspicious). Reason: Too few cells",
        "Suggestion of the software Suspicious",
    )


def test_not_suspicious_excludes_nothing(content: Document) -> None:
    document = concluded(content, headline="not_suspicious", agrees=False, reason="Artefacts")
    in_order(
        text(render(document, [signature(document)])),
        "Conclusion of the reader Not suspicious",
        "This does not exclude disease and must not delay",
        "Suggestion of the software",
    )


def test_the_fields(final: bytes) -> None:
    in_order(
        text(final),
        "No. Field Software, with calibrated probabilities Reader",
        "1 field.png 320 × 240 pixels",
        "Suspicious Model category Pre-B (data-set label; immunophenotyping required)",
        "Benign 2.0 % Malignant Early Pre-B 3.0 % Malignant Pre-B 90.0 % Malignant Pro-B 5.0 %",
        "Distance from the training images 4.2.",
        "Agreed: Pre-B Grace Hopper,",
        "2 field.png",
        "Indeterminate Model category Benign (in this data set: haematogones, benign B-cell "
        "precursors; data-set label; immunophenotyping required)",
        "Malignant Pro-B < 0.1 %",
        f"Changed to Pro-B Reason: {REASON} Grace Hopper,",
        "3 field.png",
        "12.50, limit 10.00: the probabilities cannot be relied on.",
        f"Unusable Reason: {UNUSABLE} Grace Hopper,",
        "4 field.png",
        "Refused: not used",
        "Colours of a stained smear: 0.12, at least 0.60 needed. Photograph a Giemsa-type",
        "Needs no reading",
        "5 field.png",
        "Failed: no result could be made",
        "The model could not be reached after several attempts.",
        f"Unusable Reason: {UNUSABLE}",
    )


def test_how_a_field_came_to_be_read(content: Document) -> None:
    document = copy.deepcopy(content)
    document["fields"][0]["reading"] |= {"blinded": True, "earlier": 2}
    document["fields"][1]["reading"] = None
    in_order(
        text(render(document, [])),
        "Read as Pre-B",
        "Read before the software's answer was shown.",
        "Earlier readings of this field in the record: 2.",
        "Not read",
    )


def test_the_model_and_its_limits(final: bytes, digest: str) -> None:
    in_order(
        text(final),
        "Model all_smear, version 1",
        "Architecture custom_cnn",
        f"Digest (of its contract) {digest}",
        "Suspicious m from 60.0 %",
        "Not suspicious m up to 20.0 %",
        "training images above 10",
        "resized to 224 × 224 pixels; rows 192–224, columns 160–224 covered",
        f"Training data digest {'0' * 64}",
        "one hospital, one stain and one camera",
        "haematogones",
        "immunophenotyping decides",
        "docs/model.md",
    )


def test_a_version_that_the_store_no_longer_holds(content: Document) -> None:
    document = copy.deepcopy(content)
    document["models"][0] |= {
        "bounds": None,
        "preprocessing": None,
        "training_data_digest": None,
    }
    assert "no longer holds this version" in text(render(document, []))


def test_an_amended_report_says_what_it_replaces(read_case: Specimen, reader: User) -> None:
    first = sign(reader, read_case)
    assert first
    case_amend(actor=reader, case=case_of(read_case), reason="Fields of another slide")
    opened = text(render(*draft(case_of(read_case)), preliminary=True))
    in_order(
        opened,
        "PRELIMINARY – AI, UNVERIFIED",
        f"Once signed, this report replaces report 1 (report hash {first.content_sha256[:16]}…).",
        "Opened again by Grace Hopper,",
        "Reason: Fields of another slide",
        "No reader has concluded on this case yet.",
    )
    second = sign(reader, read_case, headline="indeterminate", reason="Few cells are left")
    assert second
    found = text(media_path(second.pdf_name).read_bytes())
    in_order(
        found,
        f"AMENDED This report replaces report 1 (report hash {first.content_sha256[:16]}…).",
        "Opened again by Grace Hopper,",
        "Reason: Fields of another slide",
        "Conclusion of the reader Indeterminate",
    )
    assert "FINAL" not in found


def test_two_signers(
    read_case: Specimen, reader: User, second_reader: User, settings: Settings
) -> None:
    settings.SIGNATURES_REQUIRED = 2
    assert sign(reader, read_case) is None
    half = text(render(*draft(case_of(read_case)), preliminary=True))
    in_order(
        half,
        "PRELIMINARY – AI, UNVERIFIED Signed by 1 of the 2 people",
        "Grace Hopper,",
        "Conclusion of the reader Suspicious",
        "Signatures Grace Hopper",
        "Review: I have",
    )
    assert "FINAL" not in half
    report = sign(second_reader, read_case)
    assert report
    in_order(
        text(media_path(report.pdf_name).read_bytes()),
        "FINAL",
        "Signatures Grace Hopper",
        "Review: I have read",
        "Rosalind Franklin",
        "Approval: I have checked",
    )


def test_a_demonstration_is_marked_on_every_page(content: Document) -> None:
    mark = "DEMONSTRATION – drawn, not a patient"
    assert mark not in text(render(content, []))
    content["patient"]["demonstration"] = True
    pages = [page.extract_text() for page in read(render(content, [])).pages]
    assert len(pages) > 1
    assert all(mark in page for page in pages)
    assert pages[0].count(mark) == 2


# --- Every page, and the file ------------------------------------------------------------


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
    content["patient"]["name"] = "李雷"
    found = text(render(content, []))
    in_order(found, "Patient [U+674E][U+96F7]", "Report hash", footnote)


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
