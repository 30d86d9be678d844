"""The PDF says all that a report has to say, in order."""

import copy

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from diagnosis.reports.content.snapshot import Document
from diagnosis.reports.pdf.document import render
from diagnosis.signing.services import case_amend, draft
from diagnosis.storage.media import media_path
from patients.models import Specimen
from tests.diagnosis.reports.made import REASON, UNUSABLE, case_of, sign
from tests.diagnosis.reports.printed import concluded, in_order, read, signature, text

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


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
