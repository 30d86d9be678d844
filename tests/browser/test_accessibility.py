"""Keyboard, narrow screens, and what assistive software needs of every page."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.product import Served

pytestmark = pytest.mark.browser

# Names what a screen reader or a keyboard user would miss; an empty list is a pass.
PROBLEMS = """() => {
  const problems = [];
  const say = (what, element) => problems.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const alt = (element) => [...element.querySelectorAll("img")].map((image) => image.alt).join("");
  const text = (element) =>
    (element.getAttribute("aria-label") || element.textContent || "").trim() || alt(element);
  if (!document.documentElement.lang) problems.push("no lang");
  if (!document.title.trim()) problems.push("no title");
  if (document.querySelectorAll("main").length !== 1) problems.push("not one main");
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((h) => Number(h.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) problems.push("not one h1");
  levels.forEach((level, i) => i && level > levels[i - 1] + 1 && problems.push(`h${level} skips`));
  for (const image of document.images) if (!image.hasAttribute("alt")) say("no alt", image);
  for (const svg of document.querySelectorAll("svg:not([aria-hidden])"))
    if (svg.getAttribute("role") !== "img" || !svg.getAttribute("aria-label")) say("svg", svg);
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!field.labels.length && !field.getAttribute("aria-label")) say("no label", field);
  for (const control of document.querySelectorAll("a[href], button, summary"))
    if (!text(control)) say("no name", control);
  for (const cell of document.querySelectorAll("table thead th"))
    if (cell.scope !== "col") say("no scope", cell);
  for (const table of document.querySelectorAll("table"))
    if (!table.caption) say("no caption", table);
  for (const group of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
    for (const name of ["aria-labelledby", "aria-describedby"])
      for (const id of (group.getAttribute(name) || "").split(" ").filter(Boolean))
        if (!document.getElementById(id)) say(`${name} points nowhere`, group);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids.filter((id, i) => ids.indexOf(id) !== i)) problems.push(`id ${id} twice`);
  return problems;
}"""


@pytest.fixture
def addresses(upload: Callable[..., Page], smears: list[Path], receipt: Path) -> list[str]:
    """Every page of the portal, with a screened and a refused field on it."""
    page = upload(smears[0], receipt)
    results = page.locator("[data-upload-results] strong a")
    fields = [str(results.nth(index).get_attribute("href")) for index in range(2)]
    specimen = page.url
    page.goto("/diagnoses/unassigned")
    page.get_by_label("Upload fields").set_input_files(smears[1])
    page.get_by_role("button", name="Upload and screen").click()
    lone = page.locator("[data-upload-results] strong a")
    lone.wait_for(timeout=30_000)
    field = str(lone.get_attribute("href"))
    page.goto(specimen)
    patient = page.locator(".breadcrumb a").last.get_attribute("href")
    return [
        "/", "/?show=suspicious", "/?search=nobody", "/diagnoses",
        "/diagnoses?show=suspicious", "/patients/", "/patients/new", str(patient),
        specimen, f"{specimen}/report", f"{specimen}/edit", *fields, field, f"{field}/assign",
        "/diagnoses/unassigned",
    ]  # fmt: skip


def test_every_page_tells_assistive_software_what_it_is_and_fits_a_telephone(
    signed_in: Page, addresses: list[str]
) -> None:
    found = {}
    for address in addresses:
        for width in (1280, 390):
            signed_in.set_viewport_size({"width": width, "height": 844})
            answer = signed_in.goto(address)
            assert answer, address
            assert answer.ok, address
            problems = signed_in.evaluate(PROBLEMS)
            excess = signed_in.evaluate("document.documentElement.scrollWidth - innerWidth")
            if excess > 0:
                problems.append(f"{excess} pixels too wide")
            if problems:
                found[f"{address} at {width}"] = problems
    assert found == {}


def test_the_checks_above_see_what_is_wrong(watched: Page) -> None:
    watched.goto("/login")
    assert watched.evaluate(PROBLEMS) == []
    watched.evaluate(
        "document.querySelector('main').innerHTML ="
        "'<h3></h3><img><input><a href=/></a><button id=main></button><table></table>'"
    )
    found = " ".join(watched.evaluate(PROBLEMS))
    for problem in ("not one h1", "no alt", "no label", "no name", "no caption", "id main twice"):
        assert problem in found


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
    watched.locator("[data-upload-results] strong a").wait_for(timeout=30_000)
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
