"""Sending many files: folders, refusals, a lost connection, an ended session, sending again."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import (
    APIResponse,
    Locator,
    Page,
    Request,
    Route,
    StorageState,
    expect,
)

from tests.product import Served

pytestmark = pytest.mark.browser

FIELDS = 6


@pytest.fixture
def folder(tmp_path: Path, smears: list[Path]) -> Path:
    """A session's folder: six fields in two subfolders, and what an operating system adds."""
    session = tmp_path / "session"
    for number in range(FIELDS):
        file = session / ("left", "right")[number % 2] / f"field-{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(smears[number % 3].read_bytes() + b"%d" % number)
    (session / ".DS_Store").write_text("of the system")
    (session / "left" / "Thumbs.db").write_text("of the system")
    return session


@pytest.fixture
def plain(page: Page, session: StorageState) -> Page:
    """Signed in; a lost connection is a complaint on the console, and here it is meant."""
    page.context.add_cookies(session["cookies"])  # type: ignore[arg-type]
    return page


@pytest.fixture
def case(plain: Page, specimen: str) -> Page:
    """``plain`` on the page of a new specimen."""
    plain.goto(f"/specimens/{specimen}")
    return plain


def choose(page: Page, folder: Path) -> None:
    page.locator("[data-upload-folder-input]").set_input_files(folder)


def send(page: Page) -> None:
    page.get_by_role("button", name="Upload and screen").click()


def summary(page: Page) -> Locator:
    return page.locator("[data-upload-summary]")


def breaks_after(page: Page, taken: int) -> Callable[[], None]:
    """Lose the connection once ``taken`` files have gone through; gives what mends it."""
    counted = 0

    def handle(route: Route) -> None:
        nonlocal counted
        if route.request.method == "POST":
            counted += not route.request.url.endswith("/held")
            if counted > taken:
                route.abort("connectionreset")
                return
        route.continue_()

    address = re.compile(r"/specimens/[^/]+(/held)?$")
    page.route(address, handle)
    return lambda: page.unroute(address, handle)


def posts(page: Page) -> list[str]:
    """The addresses of all POSTs from now on."""
    seen: list[str] = []
    page.on("request", lambda sent: seen.append(sent.url) if sent.method == "POST" else None)
    return seen


def test_a_dropped_folder_is_sent_and_what_is_refused_stands_first_with_reason_and_fix(
    signed_in: Page, specimen: str, folder: Path
) -> None:
    (folder / "left" / "notes.txt").write_text("no photograph")
    (folder / "right" / "scan.tif").write_bytes(b"")
    again = folder / "right" / "the same again.jpg"
    again.write_bytes((folder / "left" / "field-0.jpg").read_bytes())
    signed_in.goto(f"/specimens/{specimen}")
    drop(signed_in, folder)
    chosen = signed_in.locator("[data-upload-chosen]")
    expect(chosen).to_have_text("Chosen: 9. Hidden and system files left out: 2.")
    send(signed_in)
    expect(summary(signed_in)).to_contain_text("7 of 9 stored.")
    expect(summary(signed_in)).to_contain_text(
        "Not stored: 2; the reasons stand first in the list."
    )
    rows = signed_in.locator("[data-upload-results] > li")
    expect(rows.nth(0)).to_contain_text("session/")
    refused = signed_in.locator('[data-upload-results] > li[data-result="refused"]')
    expect(refused).to_have_count(2)
    expect(refused.filter(has_text="notes.txt")).to_contain_text("Send a JPEG, PNG, TIFF")
    expect(refused.filter(has_text="scan.tif")).to_contain_text("Choose the file again.")
    expect(signed_in.locator(".gallery li")).to_have_count(FIELDS)


def drop(page: Page, path: Path) -> None:
    """Drag a folder from the desktop onto the form, as the browser itself would tell it."""
    box = page.locator(".drop").bounding_box()
    assert box
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 10}
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def test_a_lost_connection_is_waited_for_and_nothing_is_stored_twice(
    case: Page, folder: Path, smears: list[Path]
) -> None:
    mend = breaks_after(case, 3)
    choose(case, folder)
    send(case)
    expect(summary(case)).to_have_text("Connection lost, going on when it is back.")
    expect(case.locator("[data-upload-results]")).to_contain_text("Waiting for the connection")
    mend()
    expect(summary(case)).to_have_text("6 of 6 stored.")
    expect(case.locator(".gallery li")).to_have_count(FIELDS)

    case.context.set_offline(True)
    case.get_by_label("Upload fields").set_input_files(smears[0])
    send(case)
    expect(summary(case)).to_have_text("Connection lost, going on when it is back.")
    case.context.set_offline(False)
    expect(summary(case)).to_have_text("1 of 1 stored.")
    expect(case.locator(".gallery li")).to_have_count(FIELDS + 1)


def test_a_slow_answer_does_not_hide_what_was_stored_after_it(
    case: Page, smears: list[Path]
) -> None:
    held: list[tuple[Route, APIResponse]] = []
    finished: list[str] = []

    def handle(route: Route) -> None:
        if route.request.method == "POST":
            route.continue_()
        else:
            held.append((route, route.fetch()))

    def hear(sent: Request) -> None:
        if sent.method == "GET" and sent.resource_type == "fetch":
            finished.append(sent.url)

    case.route(re.compile(r"/specimens/[^/]+$"), handle)
    case.on("requestfinished", hear)
    for files in smears[:1], smears[1:3]:
        case.get_by_label("Upload fields").set_input_files(files)
        send(case)
        expect(summary(case)).to_have_text(f"{len(files)} of {len(files)} stored.")
    case.wait_for_timeout(500)  # for the second look, were it not to wait for the first
    while len(finished) < 2:
        if held:
            look, answer = held.pop(0)
            look.fulfill(response=answer)
        case.wait_for_timeout(100)
    expect(case.locator(".gallery li")).to_have_count(3)


def test_the_gallery_is_asked_for_until_the_server_can_show_it(
    case: Page, smears: list[Path]
) -> None:
    away = [503, 0]

    def handle(route: Route) -> None:
        if route.request.method == "POST" or not away:
            route.continue_()
        elif status := away.pop(0):
            route.fulfill(status=status)
        else:
            route.abort("connectionreset")

    case.route(re.compile(r"/specimens/[^/]+$"), handle)
    case.get_by_label("Upload fields").set_input_files(smears[0])
    send(case)
    expect(case.locator(".gallery li")).to_have_count(1)
    assert not away


def test_after_a_reload_only_what_is_missing_is_sent(case: Page, folder: Path) -> None:
    mend = breaks_after(case, 3)
    choose(case, folder)
    send(case)
    expect(summary(case)).to_have_text("Connection lost, going on when it is back.")
    asked: list[str] = []
    case.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    case.reload()
    assert asked == ["beforeunload"], "the page was left without a warning"
    mend()
    expect(case.locator(".gallery li")).to_have_count(3)

    choose(case, folder)
    sent = posts(case)
    send(case)
    expect(summary(case)).to_have_text("6 of 6 stored. Already here: 3.")
    assert [url.rpartition("/")[2] == "held" for url in sent] == [True, False, False, False]
    here = case.locator("[data-upload-results] li").filter(has_text="Already here")
    expect(here).to_have_count(3)
    expect(here.get_by_role("link").first).to_have_attribute("href", re.compile(r"/diagnoses/\d+"))
    expect(case.locator(".gallery li")).to_have_count(FIELDS)
    case.reload()
    assert asked == ["beforeunload"], "nothing was left to warn of"


def test_an_ended_session_keeps_the_rest_until_one_has_signed_in_in_another_tab(
    case: Page, served: Served, folder: Path
) -> None:
    choose(case, folder)
    case.context.clear_cookies()
    send(case)
    rest = case.get_by_role("button", name="Send the rest")
    expect(rest).to_be_visible()
    expect(summary(case)).to_contain_text("Your session has ended")
    with case.context.expect_page() as opened:
        case.get_by_role("link", name="Sign in in another tab").click()
    other = opened.value
    other.get_by_label("Username").fill(served.user)
    other.get_by_label("Password").fill(served.password)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url("/")
    rest.click()
    expect(summary(case)).to_have_text("6 of 6 stored.")
    expect(rest).to_be_hidden()
    expect(case.locator(".gallery li")).to_have_count(FIELDS)


def test_what_is_not_yet_sent_can_be_cancelled(case: Page, folder: Path) -> None:
    held: list[Route] = []
    case.route(
        re.compile(r"/specimens/[^/]+$"),
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    choose(case, folder)
    send(case)
    cancel = case.get_by_role("button", name="Cancel what is not yet sent")
    expect(cancel).to_be_visible()
    expect(
        case.locator("[data-upload-results] li").filter(has_text="Waiting for its turn")
    ).to_have_count(3)
    cancel.click()
    expect(cancel).to_be_hidden()
    assert len(held) == 3, "more than three at once"
    for route in held:
        route.continue_()
    expect(summary(case)).to_have_text("3 of 6 stored. Cancelled: 3.")


def test_a_file_that_never_gets_through_does_not_hold_up_the_others(
    case: Page, folder: Path
) -> None:
    def handle(route: Route) -> None:
        if b'filename="field-2.jpg"' in (route.request.post_data_buffer or b""):
            route.abort("connectionreset")
        else:
            route.continue_()

    case.route(re.compile(r"/specimens/[^/]+$"), handle)
    choose(case, folder)
    case.evaluate("setInterval(() => dispatchEvent(new Event('online')), 100)")  # no long pauses
    send(case)
    expect(summary(case)).to_contain_text("5 of 6 stored. Not stored: 1;")
    expect(case.locator('[data-result="refused"]')).to_contain_text(
        "The connection broke each time this file was sent"
    )
