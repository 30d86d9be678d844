"""What a newcomer finds after `make run`: a demonstration, and a guide through it."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.product import Served

pytestmark = pytest.mark.browser


def test_the_guide_leads_through_the_demonstration_and_ticks_what_is_done(
    signed_in: Page, served: Served
) -> None:
    signed_in.goto("/")
    guide = signed_in.get_by_role("region", name="First steps")
    expect(guide).to_be_visible()
    specimen = guide.get_by_role("link", name=re.compile(r"Specimen DEMO-\d"))
    expect(specimen).to_be_visible()  # without loading the page again
    specimen.click()
    expect(signed_in.get_by_text("Demonstration · drawn, not a patient")).to_be_visible()
    expect(signed_in.locator("[data-waiting]")).to_have_count(0)
    said = signed_in.locator(".gallery .badge").all_inner_texts()
    assert len(said) == 12
    assert said.count("Rejected") == 2
    assert len(set(said)) >= 3
    expect(signed_in.get_by_label("Upload fields")).to_have_count(0)

    signed_in.locator(".gallery a").first.click()
    signed_in.wait_for_url(re.compile(r"/diagnoses/\d+$"))
    for _ in range(12 - said.count("Rejected")):
        address = signed_in.url
        signed_in.keyboard.press("a")
        signed_in.wait_for_url(lambda url, before=address: url != before)
    expect(signed_in.get_by_text("Every screened field of this case is reviewed.")).to_be_visible()

    signed_in.get_by_role("link", name="Conclude and sign").click()
    signed_in.get_by_role("radio", name="Suspicious", exact=True).check()
    signed_in.get_by_label("Your password").fill(served.password)
    signed_in.get_by_role("button", name="Sign", exact=True).click()
    expect(signed_in.get_by_text("The case is signed. Report 1 is kept.")).to_be_visible()
    done = guide.locator(".guide__mark--done")
    expect(done).to_have_count(3)
    signed_in.get_by_role("link", name="Report", exact=True).first.click()
    expect(signed_in.get_by_text("DEMONSTRATION – drawn, not a patient")).to_be_visible()
    signed_in.go_back()
    signed_in.reload()
    expect(done).to_have_count(4)

    signed_in.goto("/")
    expect(done).to_have_count(4)
    guide.get_by_role("button", name="Hide this").click()
    expect(signed_in.get_by_role("heading", name="Work list")).to_be_visible()
    expect(guide).to_have_count(0)
