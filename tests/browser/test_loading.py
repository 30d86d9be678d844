"""Somebody who waits for a page is told that it is being loaded."""

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.waiting import WITHIN_S

pytestmark = pytest.mark.browser


# The page's timer in the test's hand: `overdue()` is what happens once its time is up. DevTools
# lets nobody ask a page that is being left, so it uses the console, and tells the next page.
TAKE_THE_CLOCK = """
  const line = document.querySelector("[data-loading]");
  const timers = new Map();
  window.setTimeout = (work, milliseconds) => {
    timers.set(timers.size + 1, work);
    console.log(`due in ${milliseconds}`);
    return timers.size;
  };
  window.clearTimeout = (number) => timers.set(number, () => {});
  window.overdue = () => {
    for (const work of timers.values()) work();
    console.log(`said: ${line.textContent}`);
    sessionStorage.said = line.textContent;
  };
"""


def leave(page: Page, name: str) -> None:
    """Follow a link; return when the page has been asked whether it may be left."""
    with page.expect_console_message(lambda message: message.text == "due in 500"):
        page.get_by_role("link", name=name).click(no_wait_after=True)


def test_a_page_that_is_slow_says_so(signed_in: Page) -> None:
    page = signed_in
    held: list[Route] = []
    page.goto("/")
    page.evaluate(TAKE_THE_CLOCK)
    page.evaluate("addEventListener('beforeunload', () => queueMicrotask(overdue))")
    page.route("**/dashboard", lambda route: held.append(route))
    with page.expect_console_message(lambda message: message.text.startswith("said:")) as said:
        leave(page, "Dashboard")
    assert said.value.text == "said: Loading…"
    wait_in(page, lambda: held)
    held[0].continue_()
    page.wait_for_url("**/dashboard")
    expect(page.locator("[data-loading]")).to_be_empty()
    page.go_back()
    expect(page.locator("[data-loading]")).to_be_empty()


def test_a_page_that_is_quick_says_nothing(signed_in: Page) -> None:
    """Its time is not up when the next one is there."""
    page = signed_in
    page.goto("/")
    page.evaluate(TAKE_THE_CLOCK)
    page.evaluate("addEventListener('pagehide', () => (sessionStorage.said = line.textContent))")
    leave(page, "Patients")
    page.wait_for_url("**/patients/")
    assert page.evaluate("sessionStorage.said") == ""


def test_whoever_stays_on_a_page_waits_for_nothing(signed_in: Page) -> None:
    """Asked whether to leave what is being sent, a person may say no."""
    page = signed_in
    page.goto("/")
    page.mouse.click(2, 400)  # no question is asked of a page that nobody has touched
    page.evaluate(TAKE_THE_CLOCK)
    page.evaluate("addEventListener('beforeunload', (event) => event.preventDefault())")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    leave(page, "Dashboard")
    wait_in(page, lambda: asked)
    page.evaluate("overdue()")
    assert asked == ["beforeunload"]
    assert page.evaluate("sessionStorage.said") == ""
    assert page.url.endswith("/")


def wait_in(page: Page, condition: Callable[[], object]) -> None:
    """Until ``condition`` holds, which Playwright's own events bring about."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        page.wait_for_timeout(20)
