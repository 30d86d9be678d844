"""A field that waits for the model gets its result on the open page, without a reload."""

import json
import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.product import ROOT, Product, prepared_product

pytestmark = pytest.mark.browser
PASSWORD = "a-password-for-this-test"


def test_result_appears_once_a_model_is_promoted(
    browser: Browser, tmp_path: Path, smears: list[Path]
) -> None:
    store = tmp_path / "store/all_smear"
    store.mkdir(parents=True)
    variables = {"DEMO_PASSWORD": PASSWORD, "MODEL_STORE": str(store.parent)}
    with Product(prepared_product(tmp_path / "product"), variables) as product:
        product.wait_until_ready()
        page = browser.new_context(base_url=product.url).new_page()
        page.goto("/login")
        page.get_by_label("Username").fill("demo")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.goto("/diagnoses/unassigned")
        page.get_by_label("Upload fields").set_input_files(smears[0])
        page.get_by_role("button", name="Upload and screen").click()
        page.locator("[data-upload-results] a").click()
        expect(page.get_by_role("heading", name="Waiting for the model")).to_be_visible()
        promote(store)
        expect(page.get_by_role("heading", name="Input checks")).to_be_visible()
        expect(page.get_by_role("heading", name="Waiting for the model")).to_have_count(0)
        page.context.close()


def promote(store: Path) -> None:
    """Make the repository's live version live here too."""
    published = ROOT / "serving/models/all_smear"
    live = json.loads((published / "live.json").read_text())
    (store / str(live["stable"])).symlink_to(published / str(live["stable"]))
    (store / "live.part").write_text(json.dumps(live))
    os.replace(store / "live.part", store / "live.json")
