"""The photograph on a field's page: zoom, pan, light, and the activation map."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.passing_store import make_passing_store
from tests.product import Product, prepared_product

pytestmark = pytest.mark.browser
PASSWORD = "a-password-for-one-test-0123456789"


@pytest.fixture
def field(upload: Callable[..., Page], smears: list[Path]) -> Page:
    """The page of the first of two fields of a case."""
    page = upload(*smears[:2])
    page.locator(".gallery a").first.click()
    page.wait_for_url(re.compile(r"/diagnoses/\d+$"))
    expect(zoom(page)).to_have_text(re.compile(r"\d+"))
    return page


def zoom(page: Page) -> Locator:
    return page.locator("[data-viewer-zoom]")


def window(page: Page) -> Locator:
    return page.locator("[data-viewer-window]")


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name)


def share(page: Page) -> int:
    """The zoom in per cent of full resolution."""
    return int(zoom(page).inner_text().split("\xa0")[0])


def place(page: Page) -> tuple[float, float, float]:
    """Left and top edge of the photograph in its window, and its width, in pixels."""
    outer = window(page).bounding_box()
    inner = page.locator("[data-viewer-image]").bounding_box()
    assert outer
    assert inner
    return inner["x"] - outer["x"], inner["y"] - outer["y"], inner["width"]


def test_zoom_and_pan_by_keyboard(field: Page) -> None:
    whole = share(field)
    left, top, width = place(field)
    box = window(field).bounding_box()
    assert min(left, top) >= 0, "the whole field is shown"
    assert 0.9 * box["width"] < width <= box["width"]
    assert whole == pytest.approx(100 * width / 1024, abs=1)
    field.keyboard.press("+")
    field.keyboard.press("+")
    assert share(field) == pytest.approx(whole * 1.25**2, abs=1)
    assert place(field)[2] == pytest.approx(width * 1.25**2, rel=0.01)
    field.keyboard.press("-")
    assert share(field) == pytest.approx(whole * 1.25, abs=1)
    window(field).focus()
    before = place(field)
    field.keyboard.press("ArrowRight")
    field.keyboard.press("ArrowDown")
    after = place(field)
    assert after[0] < before[0]
    assert after[1] < before[1]
    for _ in range(40):
        field.keyboard.press("ArrowLeft")
    assert place(field)[0] == pytest.approx(1, abs=1), "it stops at the edge"
    field.keyboard.press("0")
    assert share(field) == whole
    for _ in range(30):
        field.keyboard.press("+")
    assert share(field) == 800
    full = field.get_by_role("button", name="1:1, full resolution")
    full.focus()
    field.keyboard.press("Enter")
    assert share(field) == 100
    assert place(field)[2] == pytest.approx(1024, abs=1), "a pixel is a pixel"


def test_zoom_and_pan_by_mouse_and_fingers(field: Page) -> None:
    whole = share(field)
    box = window(field).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 4
    field.mouse.move(x, y)
    field.mouse.wheel(0, -100)
    assert share(field) == whole, "the page scrolls past it"
    field.evaluate("scrollTo(0, 0)")
    field.keyboard.down("Control")
    field.mouse.wheel(0, -200)
    field.keyboard.up("Control")
    expect(zoom(field)).not_to_have_text(f"{whole}\xa0%")
    before = place(field)
    field.mouse.down()
    field.mouse.move(x - 60, y - 40, steps=4)
    field.mouse.up()
    after = place(field)
    assert after[0] == pytest.approx(before[0] - 60, abs=1)
    assert after[1] == pytest.approx(before[1] - 40, abs=1)
    field.mouse.dblclick(x, y)
    assert share(field) == whole
    field.mouse.dblclick(x, y)
    assert share(field) >= 100
    field.get_by_role("button", name="Fit").click()
    assert share(field) == whole
    pinch(field, x + 100, y + 100)
    assert share(field) == pytest.approx(2 * whole, abs=2)


def pinch(page: Page, x: float, y: float) -> None:
    """Two fingers go apart to twice their distance."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [
            {"x": x + sign * a, "y": y, "id": i} for a in apart for i, sign in enumerate((-1, 1))
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 40)
    for apart in (50, 60, 70, 80):
        touch("touchMove", apart)
    touch("touchEnd")


def test_light_holds_through_a_case_and_is_reset(field: Page) -> None:
    brightness, contrast = slider(field, "Brightness"), slider(field, "Contrast")
    brightness.focus()
    for _ in range(4):
        field.keyboard.press("ArrowRight")
    contrast.focus()
    field.keyboard.press("ArrowLeft")
    image = field.locator("[data-viewer-image]")
    expect(image).to_have_css("filter", "brightness(1.2) contrast(0.95)")
    field.keyboard.press("n")
    expect(field.get_by_role("link", name="Previous field")).to_be_visible()
    expect(image).to_have_css("filter", "brightness(1.2) contrast(0.95)")
    expect(brightness).to_have_value("120")
    field.get_by_role("button", name="Reset").click()
    expect(image).to_have_css("filter", "brightness(1) contrast(1)")
    expect(field.get_by_text("did not pass their check")).to_be_visible()
    expect(field.get_by_role("button", name="Activation map")).to_have_count(0)


def test_without_scripts_the_photograph_is_shown_whole(field: Page, browser: Browser) -> None:
    plain = browser.new_context(
        java_script_enabled=False, storage_state=field.context.storage_state()
    )
    page = plain.new_page()
    page.goto(field.url)
    expect(page.locator(".field-image")).to_be_visible()
    expect(page.get_by_role("button", name="Zoom in")).to_have_count(0)
    page.get_by_role("link", name="Open the stored image").click()
    assert page.url.endswith("/image")
    plain.close()


# --- A site with a blinded first read, and a version whose maps passed their check ---------


@pytest.fixture(scope="module")
def blinded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("blinded")
    variables = {
        "DEMO_PASSWORD": PASSWORD,
        "BLINDED_FIRST_READ": "true",
        "MODEL_STORE": str(make_passing_store(folder / "models")),
        "WEB_CONCURRENCY": "1",
    }
    with Product(prepared_product(folder / "product"), variables) as product:
        product.wait_until_ready()
        yield product


def test_a_blinded_reading_by_keyboard_then_the_answer_and_its_map(
    blinded: Product, browser: Browser, smears: list[Path]
) -> None:
    context = browser.new_context(base_url=blinded.url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    open_field(page, smears[0])
    expect(page.get_by_role("heading", name="Not read yet")).to_be_visible()
    assert "Suspicious" not in page.content()
    assert "activation" not in page.content()
    page.keyboard.press("o")
    page.keyboard.press("u")
    page.keyboard.press("2")
    expect(page.get_by_label("Malignant Early Pre-B")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Read as Early Pre-B")).to_be_visible()
    expect(page.get_by_role("heading", name="Model category")).to_be_visible()
    page.wait_for_load_state("load")

    overlay, picture = (
        page.get_by_role("button", name="Activation map"),
        page.locator("[data-viewer-map]"),
    )
    expect(picture).to_be_hidden()
    page.keyboard.press("o")
    expect(overlay).to_have_attribute("aria-pressed", "true")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 224)
    image = page.locator("[data-viewer-image]").bounding_box()
    assert picture.bounding_box() == image, "it lies on the photograph, whatever its shape"
    page.get_by_label("Opacity").focus()
    page.keyboard.press("Home")
    expect(picture).to_have_css("opacity", "0.05")
    page.keyboard.press("o")
    expect(picture).to_be_hidden()
    page.keyboard.press("a")
    expect(page.get_by_role("heading", name=re.compile(r"^Case: (?!Not read)"))).to_be_visible()
    assert complaints == []
    context.close()


def open_field(page: Page, smear: Path) -> None:
    """Sign in, register a specimen, upload the smear and open its page."""
    page.goto("/login")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto("/patients/new")
    page.get_by_label("Medical record number").fill("MRN-BLIND")
    page.get_by_label("Name", exact=True).fill("Blinded Example")
    page.get_by_role("button", name="Register patient").click()
    page.get_by_role("link", name="New specimen").click()
    page.get_by_label("Accession number").fill("BLIND-1")
    page.get_by_role("button", name="Register specimen").click()
    page.get_by_label("Upload fields").set_input_files(smear)
    page.get_by_role("button", name="Upload and screen").click()
    page.locator("[data-upload-results] strong a").wait_for()
    page.locator(".gallery a").first.click()
    page.wait_for_url(re.compile(r"/diagnoses/\d+$"))
