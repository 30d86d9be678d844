"""The work list's filters and saved views, by keyboard and without a script."""

import pytest
from playwright.sync_api import Browser, StorageState, expect

from tests.browser.test_accessibility import press, tab_to
from tests.product import Served

pytestmark = pytest.mark.browser


def test_filters_are_set_saved_and_deleted_by_keyboard_without_javascript(
    browser: Browser, served: Served, session: StorageState
) -> None:
    plain = browser.new_context(
        base_url=served.url, storage_state=session, java_script_enabled=False
    )
    page = plain.new_page()
    page.goto("/")
    press(page, "Filters")
    tab_to(page, "Priority")
    page.keyboard.type("Urgent")
    tab_to(page, "Assignee")
    page.keyboard.type("Me")
    press(page, "Apply")
    page.wait_for_url("**/?*priority=2*")
    expect(page.get_by_label("Priority")).to_have_value("2")
    expect(page.get_by_label("Assignee")).to_have_value("mine")
    tab_to(page, "Save these filters as")
    page.keyboard.type("Mine, urgent")
    page.keyboard.press("Enter")
    expect(page.locator(".notices")).to_have_text("The view “Mine, urgent” is saved.")
    views = page.get_by_role("navigation", name="Which cases")
    chip = views.get_by_role("link", name="Your view Mine, urgent")
    expect(chip).to_have_attribute("aria-current", "true")
    page.goto("/")
    press(page, "Your view Mine, urgent")
    page.wait_for_url("**/?priority=2&assignee=mine")
    press(page, "Delete the view “Mine, urgent”")
    expect(chip).to_have_count(0)
    plain.close()
