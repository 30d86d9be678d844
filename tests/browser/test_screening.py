"""From signing in to the result, in a real browser on the running product with its real model."""

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, StorageState, expect

from diagnosis.core.imaging.contract import LABELS
from tests.product import Served
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.browser


def open_result(page: Page, file: Path) -> Page:
    """The page of the field that was uploaded as ``file``."""
    page.locator("[data-upload-results]").get_by_role("link", name=file.name).first.click()
    page.wait_for_url(re.compile(r"/diagnoses/\d+$"))
    return page


def headings(page: Page, count: int) -> list[str]:
    """What the pages of a case's fields are headed, in the order of its gallery."""
    expect(page.locator(".gallery li")).to_have_count(count)
    return [f"{name} of {count}" for name in page.locator(".gallery strong").all_inner_texts()]


def expect_page(page: Page, heading: str) -> None:
    """The page of this heading is there, and listens to keys."""
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    page.wait_for_load_state("load")


@pytest.mark.data
def test_one_calibration_field_of_each_class_gets_the_right_class_for_three_of_four(
    upload: Callable[..., Page], calibration: dict[str, Path]
) -> None:
    right = []
    for label, file in calibration.items():
        page = open_result(upload(file), file)
        expect(page.get_by_text("Preliminary – AI, unverified")).to_be_visible()
        expect(page.locator(".bar-row__label")).to_have_text(list(LABELS))
        right.append(page.locator(".bar-row--top .bar-row__label").inner_text() == label)
    assert sum(right) >= 3


@pytest.mark.data
def test_receipt_is_refused_with_its_reason(
    upload: Callable[..., Page], real_receipt: Path
) -> None:
    page = open_result(upload(real_receipt), real_receipt)
    expect(page.get_by_role("heading", name="Rejected")).to_be_visible()
    reason = page.locator(".refusal li").first
    expect(reason).to_contain_text(re.compile(r"[\d.]+, needed at least [\d.]+\."))
    expect(page.get_by_role("heading", name="Model category")).to_have_count(0)


@pytest.mark.data
def test_the_same_by_api(
    api: requests.Session, served: Served, calibration: dict[str, Path], real_receipt: Path
) -> None:
    right = 0
    for label, file in calibration.items():
        answer = diagnose(api, served, file)
        assert answer.status_code == 201, answer.text
        document = answer.json()
        assert list(document["probabilities"]) == list(LABELS)
        right += document["predicted_class"] == label
    assert right >= 3
    refusal = diagnose(api, served, real_receipt)
    assert refusal.status_code == 422
    assert refusal.headers["Content-Type"] == "application/problem+json"
    assert refusal.json()["code"] == "image_refused"


def test_synthetic_fields_are_screened_one_by_one_and_stand_in_the_gallery(
    upload: Callable[..., Page], smears: list[Path]
) -> None:
    page = upload(*smears)
    expect(page.locator("[data-upload-summary]")).to_have_text("3 of 3 stored.")
    fields = page.locator(".gallery li")
    expect(fields).to_have_count(3)
    expect(fields.locator("img").first).to_have_js_property("complete", True)
    assert fields.locator("img").first.evaluate("image => image.naturalWidth") > 100
    first, second, _ = headings(page, 3)
    fields.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name=first)).to_be_visible()
    page.get_by_role("link", name="Next field").click()
    expect(page.get_by_role("heading", name=second)).to_be_visible()
    expect(page.locator(".field-image")).to_have_js_property("naturalWidth", 1024)


def test_many_fields_are_left_to_the_worker_and_their_progress_is_seen(
    upload: Callable[..., Page], signed_in: Page, smears: list[Path], tmp_path: Path
) -> None:
    files = []
    for number in range(24):
        file = tmp_path / f"field-{number:02}.jpg"
        file.write_bytes(smears[number % 3].read_bytes() + b"%d" % number)
        files.append(file)
    thumbnails: list[str] = []
    signed_in.on(
        "request", lambda sent: thumbnails.append(sent.url) if "/thumbnail" in sent.url else None
    )
    page = upload(*files)
    expect(page.locator("[data-upload-summary]")).to_have_text("24 of 24 stored.")
    expect(page.locator(".gallery li")).to_have_count(24)
    expect(page.locator("[data-waiting]")).to_have_count(0)
    expect(page.locator(".gallery .badge--waiting")).to_have_count(0)
    expect(page.locator(".progress")).to_have_count(0)
    assert len(thumbnails) == len(set(thumbnails)), "a picture was loaded twice"


def test_a_case_is_read_by_keyboard_alone(upload: Callable[..., Page], smears: list[Path]) -> None:
    page = upload(*smears)
    first, second, third = headings(page, 3)
    page.locator(".gallery a").first.click()
    expect_page(page, first)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("n")
    expect_page(page, second)
    page.keyboard.press("p")
    expect_page(page, first)
    page.keyboard.press("a")
    expect_page(page, second)
    page.keyboard.press("u")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("Out of focus, 1 a n.")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect_page(page, third)
    other = page.locator("option[data-class-key]").last.get_attribute("data-class-key")
    page.keyboard.press(other or "")
    page.keyboard.type("Haematogones.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Every screened field of this case is reviewed.")).to_be_visible()
    for number, words in enumerate(("Agreed: ", "Unusable", "Changed to ")):
        page.locator(".gallery li a").nth(number).click()
        expect(page.locator(".readings")).to_contain_text(words)
        page.go_back()


def test_single_keys_can_be_turned_off(upload: Callable[..., Page], smears: list[Path]) -> None:
    page = open_result(upload(smears[0]), smears[0])
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_label("Single keys do this").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("a")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_text("Nobody has read this field yet")).to_be_visible()
    page.reload()
    page.keyboard.press("a")
    expect(page.get_by_text("Nobody has read this field yet")).to_be_visible()


def test_drawn_receipt_is_refused_with_its_reason_in_the_portal_and_by_api(
    upload: Callable[..., Page], receipt: Path, api: requests.Session, served: Served
) -> None:
    page = open_result(upload(receipt), receipt)
    expect(page.get_by_role("heading", name="Rejected")).to_be_visible()
    expect(page.locator(".refusal li").first).to_contain_text("needed at least")
    assert diagnose(api, served, receipt).json()["code"] == "image_refused"


def test_bad_file_among_good_ones_is_named_and_costs_them_nothing(
    upload: Callable[..., Page], smears: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "notes.jpg"
    bad.write_text("not a photograph")
    page = upload(smears[0], bad, smears[1])
    expect(page.locator("[data-upload-summary]")).to_have_text(
        re.compile("^2 of 3 stored. Not stored: 1;")
    )
    refused = page.locator('[data-result="refused"]')
    expect(refused).to_contain_text("notes.jpg")
    expect(refused).to_contain_text("The file is not an image that can be read.")
    expect(page.locator(".gallery li")).to_have_count(2)


def test_page_works_without_javascript(
    browser: Browser, served: Served, session: StorageState, specimen: str, smears: list[Path]
) -> None:
    plain = browser.new_context(
        base_url=served.url, storage_state=session, java_script_enabled=False
    )
    page = plain.new_page()
    page.goto(f"/specimens/{specimen}")
    page.get_by_label("Upload fields").set_input_files(smears[:2])
    page.get_by_role("button", name="Upload and screen").click()
    expect(page.locator("[data-upload-results] li")).to_have_count(2)
    expect(page.locator(".gallery li")).to_have_count(2)
    plain.close()


def diagnose(api: requests.Session, served: Served, file: Path) -> requests.Response:
    body = {"image": base64.b64encode(file.read_bytes()).decode()}
    return api.post(f"{served.url}/api/diagnose", json=body, timeout=WITHIN_S)
