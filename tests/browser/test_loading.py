"""Somebody who waits for a page is told that it is being loaded."""

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

pytestmark = pytest.mark.browser


# DevTools lets nobody ask a page that is being left, so it has to tell the one after it.
REMEMBER = """
  const line = document.querySelector("[data-loading]");
  const remember = () => (sessionStorage.said = line.textContent);
  new MutationObserver(remember).observe(line, { childList: true });
"""


def test_a_page_that_is_slow_says_so(signed_in: Page) -> None:
    page = signed_in
    held: list[Route] = []
    page.goto("/")
    page.evaluate(REMEMBER)
    page.route("**/dashboard", lambda route: held.append(route))
    page.get_by_role("link", name="Dashboard").click(no_wait_after=True)
    page.wait_for_timeout(1000)  # twice what a page may take without a word
    held[0].continue_()
    page.wait_for_url("**/dashboard")
    assert page.evaluate("sessionStorage.said") == "Loading…"
    expect(page.locator("[data-loading]")).to_be_empty()
    page.go_back()
    expect(page.locator("[data-loading]")).to_be_empty()


def test_a_page_that_is_quick_says_nothing(signed_in: Page) -> None:
    page = signed_in
    page.goto("/")
    page.evaluate(REMEMBER)
    page.get_by_role("link", name="Patients").click()
    page.wait_for_url("**/patients/")
    assert page.evaluate("sessionStorage.said") is None


def test_whoever_stays_on_a_page_waits_for_nothing(signed_in: Page) -> None:
    """Asked whether to leave what is being sent, a person may say no."""
    page = signed_in
    page.goto("/")
    page.mouse.click(2, 400)  # no question is asked of a page that nobody has touched
    page.evaluate("addEventListener('beforeunload', (event) => event.preventDefault())")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.get_by_role("link", name="Dashboard").click(no_wait_after=True)
    page.wait_for_timeout(1000)
    assert asked == ["beforeunload"]
    expect(page.locator("[data-loading]")).to_be_empty()
    assert page.url.endswith("/")
