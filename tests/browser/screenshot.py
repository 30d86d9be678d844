"""Makes docs/screenshot.png anew: `python -m tests.browser.screenshot` in the repository's root.

Starts the product with an empty database, uploads smears that software drew, and photographs
the page of the first field. What the model says about a drawing means nothing.
"""

import io
import os
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from tests.browser import images
from tests.product import ROOT, Product, copy_product

TARGET = ROOT / "docs/screenshot.png"
SEEDS = (14, 12, 3)
PASSWORD = "a-password-for-one-picture"


def main() -> None:
    """Start, photograph, write."""
    with tempfile.TemporaryDirectory() as folder:
        root = copy_product(Path(folder) / "product")
        smears = [images.smear(Path(folder) / f"drawn-{seed}.jpg", seed) for seed in SEEDS]
        with Product(root, {"DEMO_PASSWORD": PASSWORD}) as product, sync_playwright() as playwright:
            product.wait_until_ready()
            chromium = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-gpu"],
            )
            page = chromium.new_page(
                base_url=product.url,
                viewport={"width": 1280, "height": 900},
                color_scheme="light",
            )
            open_field(page, smears)
            # A palette keeps the file small; drawings and text lose nothing that is seen.
            shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            shot.quantize(256, dither=Image.Dither.NONE).save(TARGET, optimize=True)
            chromium.close()


def open_field(page: Page, smears: list[Path]) -> None:
    """Register a patient and a specimen, upload the smears, open the first field's page."""
    page.goto("/login")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto("/patients/new")
    page.get_by_label("Medical record number").fill("MRN-004211")
    page.get_by_label("Name", exact=True).fill("Example, Patient")
    page.get_by_role("button", name="Register patient").click()
    page.get_by_role("link", name="New specimen").click()
    page.get_by_label("Accession number").fill("H26-10482")
    page.get_by_role("button", name="Register specimen").click()
    page.get_by_label("Upload fields").set_input_files(smears)
    page.get_by_role("button", name="Upload and screen").click()
    page.locator("[data-upload-summary]").filter(has_text="stored.").wait_for()
    page.locator(".gallery a").first.click()
    page.locator(".field-image").wait_for()
    page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    main()
