"""Makes docs/screenshots anew: `python -m tests.browser.seen.screenshot` in the root.

Starts the product with an empty database, so that it draws its demonstration, and goes through it
as the guide says. What the model says about a drawing means nothing.
"""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.chromium import chromium
from tests.product import ROOT, Product, copy_product
from tests.waiting import WITHIN_MS

FOLDER = ROOT / "docs/screenshots"
SIZE = {"width": 1280, "height": 1100}
PASSWORD = "a-password-for-three-pictures"
VARIABLES = {"DEMO_PASSWORD": PASSWORD, "DEMONSTRATION": "true"}
CASE = "/specimens/DEMO-1"


def main() -> None:
    """Start, photograph, write."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = copy_product(Path(folder) / "product")
        with Product(root, VARIABLES) as product, sync_playwright() as playwright:
            product.wait_until_ready()
            browser = playwright.chromium.launch(
                executable_path=chromium(),
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = browser.new_page(base_url=product.url, viewport=SIZE, color_scheme="light")
            sign_in(page)
            walk(page)
            browser.close()


def sign_in(page: Page) -> None:
    """Sign in, and wait until the demonstration is drawn and screened."""
    page.goto("/login")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="DEMO-1").first.wait_for(timeout=WITHIN_MS)
    page.goto(CASE)
    page.locator("[data-live]:not([data-waiting]) .gallery").wait_for(timeout=WITHIN_MS)


def walk(page: Page) -> None:
    """The case before it is read, its most uncertain field, the report of the signed case."""
    page.goto(CASE)
    page.get_by_role("button", name="Hide this").click()
    page.goto(CASE)
    picture(page, "case")
    page.locator(".gallery a").first.click()
    picture(page, "field")
    page.goto(CASE)
    page.get_by_role("button", name="Agree with the rest").click()
    page.get_by_role("link", name="Conclude and sign").click()
    page.get_by_role("radio", name="Suspicious", exact=True).check()
    page.get_by_label("Comment").fill("Blasts in several fields.")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Sign", exact=True).click()
    page.get_by_role("link", name="Report", exact=True).first.click()
    picture(page, "report")


def picture(page: Page, name: str) -> None:
    """A palette keeps the file small; drawings and text lose nothing that is seen."""
    page.wait_for_load_state("networkidle")
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot = shot.quantize(256, dither=Image.Dither.NONE)
    shot.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
