"""Keyboard, narrow screens, and what assistive software needs of every page."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.test import RequestFactory
from playwright.sync_api import Page, Route, expect

from tests.browser.seen import axe, pages
from tests.product import Served

pytestmark = pytest.mark.browser
LANGUAGES = ("en-gb", "de")

FIELDS = ("screened", "refused")
WIDTHS = {"13-inch laptop": 1280, "tablet": 820, "telephone": 390}


@pytest.fixture
def records(upload: Callable[..., Page], smears: list[Path], receipt: Path) -> dict[str, str]:
    """Addresses of a screened, a refused and an unassigned field and what they belong to.

    The screened one is read, so that its case can be signed; and of a demonstration, with its
    guide.
    """
    page = upload(smears[0], receipt)
    specimen = page.url
    results = page.locator("[data-upload-results] strong a")
    found = {name: str(results.nth(at).get_attribute("href")) for at, name in enumerate(FIELDS)}
    page.goto(found["screened"])
    page.get_by_role("button", name="Agree").click()
    page.wait_for_url(specimen)
    page.goto("/")
    drawn = page.get_by_role("region", name="First steps").get_by_role("link", name="DEMO-")
    found["demonstration"] = str(drawn.get_attribute("href"))
    page.goto("/diagnoses/unassigned")
    page.get_by_label("Upload fields").set_input_files(smears[1])
    page.get_by_role("button", name="Upload and screen").click()
    lone = page.locator("[data-upload-results] strong a")
    lone.wait_for()
    found["lone"] = str(lone.get_attribute("href"))
    page.goto(specimen)
    patient = str(page.locator(".breadcrumb a").last.get_attribute("href"))
    page.goto(f"{patient}/specimens/new")
    page.get_by_label("Accession number").fill(f"E-{uuid4().hex[:8]}".upper())
    page.get_by_role("button", name="Register specimen").click()
    return {**found, "specimen": specimen, "patient": patient, "empty": page.url}


@pytest.fixture
def speak(served: Served) -> Callable[[Page, str], None]:
    """Makes a page speak a language."""

    def choose(page: Page, code: str) -> None:
        cookie = {"name": "django_language", "value": code, "url": served.url}
        page.context.add_cookies([cookie])  # type: ignore[list-item]

    return choose


def test_every_page_is_accessible_and_fits(
    signed_in: Page, records: dict[str, str], speak: Callable[[Page, str], None]
) -> None:
    for code in LANGUAGES:
        speak(signed_in, code)
        assert looked_at(signed_in, pages.SIGNED_IN, records, code) == {}


@pytest.mark.parametrize("code", LANGUAGES)
def test_signing_in_is_accessible_and_fits(
    watched: Page, speak: Callable[[Page, str], None], code: str
) -> None:
    speak(watched, code)
    assert looked_at(watched, pages.SIGNED_OUT, {}, code) == {}


def test_error_pages_are_accessible_and_fit(watched: Page) -> None:
    found = {}
    for name in pages.ERRORS:
        body = render_to_string(name, request=stranger())
        answer = partial(put_in_place, body)
        watched.route("**/an-error", answer)
        watched.goto("/an-error")
        found[name] = problems(watched)
        watched.unroute("**/an-error", answer)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_checks_above_see_what_is_wrong(watched: Page) -> None:
    watched.goto("/login")
    assert problems(watched) == []
    watched.evaluate(
        "document.querySelector('main').innerHTML ="
        "'<h3>A</h3><img><input><a href=/></a><button></button><p style=width:2000px>Wide</p>'"
        "+ '<p id=dim>Dim</p>'"
    )
    watched.add_style_tag(
        content="@media (prefers-color-scheme: dark) { #dim { color: #333; background: #222 } }"
    )
    found = " ".join(problems(watched))
    for problem in (
        "page-has-heading-one",
        "image-alt",
        "label",
        "link-name",
        "button-name",
        "dark: color-contrast",
        "too wide for a tablet",
    ):
        assert problem in found


def looked_at(
    page: Page, which: Iterable[pages.Page], records: dict[str, str], code: str
) -> dict[str, list[str]]:
    """What is wrong with each of the pages, by its path; nothing for those that are right."""
    found = {}
    for one in which:
        page.set_viewport_size({"width": 1280, "height": 800})
        answer = page.goto(one.path.format(**records))
        if one.submit:
            # The server is to complain, not the browser.
            page.evaluate("document.querySelectorAll('form').forEach(f => f.noValidate = true)")
            with page.expect_navigation() as navigation:
                page.locator("main form[method=post] button[type=submit]").last.click()
            answer = navigation.value
        assert answer, one
        assert answer.status == one.status, one
        assert page.locator("html").get_attribute("lang") == code
        if one.key:
            page.keyboard.press(one.key)
            page.locator("dialog").wait_for()
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        if wrong := problems(page, fully=code == LANGUAGES[0]):
            found[str(one)] = wrong
    return found


def problems(page: Page, *, fully: bool = True) -> list[str]:
    """What is wrong with the open page, at every width; ``fully`` in light and in dark, otherwise
    what can differ by language, as no colour and no structure does."""
    found = axe.violations(page, rules=None if fully else axe.WORDS)
    if fully:
        page.emulate_media(color_scheme="dark")
        found += [f"dark: {wrong}" for wrong in axe.violations(page, rules=axe.COLOURS)]
        page.emulate_media(color_scheme="light")
    for name, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 844})
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if excess > 0:
            found.append(f"{excess} pixels too wide for a {name}")
    return found


def put_in_place(body: str, route: Route) -> None:
    """Answer with ``body`` instead of the server."""
    route.fulfill(body=body, content_type="text/html")


def stranger() -> HttpRequest:
    """A request of nobody."""
    request = RequestFactory().get("/an-error")
    request.user = AnonymousUser()
    return request


def test_sign_in_to_result_with_the_keyboard_alone(
    watched: Page, served: Served, smears: list[Path]
) -> None:
    number = f"KEY-{uuid4().hex[:8]}".upper()
    # From the start: Chromium takes a while to hand its file dialogue over.
    watched.on("filechooser", lambda chooser: chooser.set_files(smears[0]))
    watched.goto("/login")
    tab_to(watched, "Username")
    type_into(watched, served.user, served.password)
    watched.keyboard.press("Enter")
    watched.wait_for_url("/")
    watched.keyboard.press("Tab")
    skip = watched.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport(ratio=1)
    follow(watched, "Patients", "/patients/")
    follow(watched, "New patient", "/patients/new")
    tab_to(watched, "Medical record number")
    type_into(watched, f"MRN-{number}", "Keyboard Example")
    press(watched, "Register patient")
    watched.wait_for_url(re.compile(r"/patients/\d+$"))
    follow(watched, "New specimen", "**/specimens/new")
    tab_to(watched, "Accession number")
    type_into(watched, number)
    press(watched, "Register specimen")
    watched.wait_for_url(f"**/specimens/{number}")
    tab_to(watched, "Upload fields")
    watched.keyboard.press("Enter")
    expect(watched.get_by_label("Upload fields")).to_have_value(re.compile(smears[0].name))
    press(watched, "Upload and screen")
    watched.locator("[data-upload-results] strong a").wait_for()
    follow(watched, smears[0].name, re.compile(r"/diagnoses/\d+$"))
    expect(watched.locator("h2.verdict__title")).to_be_visible()
    tab_to(watched, "Identifiers and hashes")
    watched.keyboard.press("Enter")
    expect(watched.get_by_text("SHA-256 of the stored image")).to_be_visible()


FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const label = element.labels?.length ? element.labels[0].textContent : element.textContent;
  return {
    name: (element.getAttribute("aria-label") || label || "").trim().replace(/\\s+/g, " "),
    // Inside a date field the browser's own calendar button takes the focus and draws its ring.
    seen: !element.matches(":focus") || (element.matches(":focus-visible")
      && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2),
    body: element === document.body,
  };
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus; every stop must be visible."""
    passed = []
    for _ in range(60):
        focused = page.evaluate(FOCUSED)
        if focused["name"].startswith(name):
            return
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        passed.append(focused["name"])
        assert focused["body"] or focused["seen"], f"no focus to be seen on {focused['name']!r}"
    raise AssertionError(f"{name!r} cannot be reached by Tab, only {passed}")


def type_into(page: Page, *texts: str) -> None:
    """Type into this field and those after it."""
    for index, text in enumerate(texts):
        if index:
            page.keyboard.press("Tab")
        page.keyboard.type(text)


def press(page: Page, name: str) -> None:
    tab_to(page, name)
    page.keyboard.press("Enter")


def follow(page: Page, name: str, address: str | re.Pattern[str]) -> None:
    press(page, name)
    page.wait_for_url(address)
