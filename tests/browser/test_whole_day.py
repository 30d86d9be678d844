"""A haematologist's day in a real browser: from signing in to the amended report."""

import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.browser.seen import images
from tests.browser.seen.axe import violations
from tests.product import Served

pytestmark = pytest.mark.browser

SMEARS, REFUSED = 28, 2


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 28 drawn fields and two pictures that are none."""
    folder = tmp_path_factory.mktemp("day")
    drawn = [images.smear(folder / f"{seed}.jpg", seed) for seed in (1, 2)]
    for number in range(SMEARS):
        field = folder / f"field-{number:02}.jpg"
        field.write_bytes(drawn[number % 2].read_bytes() + b"%d" % number)
    for file in drawn:
        file.unlink()
    receipt = images.receipt(folder / "receipt.jpg")
    (folder / "receipt-2.jpg").write_bytes(receipt.read_bytes() + b"2")
    return folder


def test_the_whole_day(watched: Page, served: Served, fields: Path) -> None:
    page = watched
    sign_in(page, served)
    register(page)
    upload(page, fields)
    read_by_keyboard(page)
    sign(page, served, comment="Blasts in many fields.")
    assert violations(page) == []
    text = report_text(page, served)
    for words in (
        "FINAL",
        "DAY-1",
        "Example, Whole Day",
        "Blasts in many fields.",
        "Haematogones in this field.",
        "Research use only. Not a medical device.",
        "Page 1 of",
    ):
        assert words in text, words
    amend(page, served)
    assert "AMENDED" in report_text(page, served)
    page.get_by_role("link", name="Report", exact=True).first.click()
    expect(page.get_by_text("AMENDED", exact=True)).to_be_visible()
    assert violations(page) == []


def sign_in(page: Page, served: Served) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(served.user)
    page.get_by_label("Password").fill(served.password)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Work list")).to_be_visible()


def register(page: Page) -> None:
    page.get_by_role("link", name="Patients").click()
    page.get_by_role("link", name="New patient").click()
    page.get_by_label("Medical record number").fill("DAY-MRN-1")
    page.get_by_label("Name").fill("Example, Whole Day")
    page.get_by_role("button", name=re.compile("Register")).click()
    page.get_by_role("link", name="New specimen").click()
    page.get_by_label("Accession number").fill("DAY-1")
    page.get_by_label("Objective").select_option("100x")
    page.get_by_role("button", name=re.compile("Register")).click()
    expect(page.get_by_role("heading", name="Specimen DAY-1")).to_be_visible()


# However soon the fields are screened: what was shown has been seen.
WATCH_FOR_PROGRESS = """
  window.progressSeen = false;
  const look = () => (progressSeen ||= Boolean(document.querySelector("progress#screened")));
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
"""


def upload(page: Page, fields: Path) -> None:
    page.get_by_label("Upload fields").set_input_files(sorted(fields.iterdir()))
    page.evaluate(WATCH_FOR_PROGRESS)
    page.get_by_role("button", name="Upload and screen").click()
    page.wait_for_function("progressSeen")
    expect(page.locator("progress#screened")).to_have_count(0)
    expect(page.locator(".gallery li")).to_have_count(SMEARS + REFUSED)
    expect(page.locator(".gallery .badge--rejected")).to_have_count(REFUSED)


def read_by_keyboard(page: Page) -> None:
    """One field becomes Benign, all others are agreed with; not one click."""
    expect(page.get_by_text(f"{SMEARS} screened fields have not been read.")).to_be_visible()
    page.locator(".gallery li a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/diagnoses/\d+$"))
    for read in range(SMEARS):
        expect(page.get_by_text("Nobody has read this field yet")).to_be_visible()
        address = page.url
        option = page.locator('[data-class-key="1"]')
        if read == 3 and option.evaluate("element => element.tagName") == "OPTION":
            page.keyboard.press("1")
            page.keyboard.type("Haematogones in this field.")
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
        else:
            page.keyboard.press("a")
        page.wait_for_url(lambda url, address=address: url != address)
    expect(page.get_by_text("Every screened field of this case is reviewed.")).to_be_visible()


def sign(page: Page, served: Served, *, comment: str) -> None:
    page.get_by_role("link", name="Conclude and sign").click()
    page.get_by_role("radio", name="Indeterminate").check()
    page.get_by_label("Comment").fill(comment)
    page.get_by_label("Reason for differing from the software").fill("Drawn fields.")
    page.get_by_label("Your password").fill(served.password)
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(
        page.get_by_text(re.compile(r"The case is signed\. Report \d is kept\."))
    ).to_be_visible()


def report_text(page: Page, served: Served) -> str:
    """The words of the PDF that the case's page links to."""
    link = page.get_by_role("link", name=re.compile("PDF")).first
    answer = page.request.get(served.url + (link.get_attribute("href") or ""))
    assert answer.headers["content-type"] == "application/pdf"
    return "\n".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(answer.body())).pages)


def amend(page: Page, served: Served) -> None:
    page.get_by_text("Amend", exact=True).click()
    page.get_by_label("Reason", exact=True).fill("The comment was too short.")
    page.get_by_role("button", name="Open an amendment").click()
    expect(page.get_by_text("has opened this case for an amendment")).to_be_visible()
    sign(page, served, comment="Blasts in many fields, more in the feathered edge.")
    expect(page.get_by_text("Amended", exact=True).first).to_be_visible()
