"""Fixtures of the website's tests."""

import pytest

from webapp.telemetry import metrics


@pytest.fixture(autouse=True, scope="module")
def _nothing_counted_yet() -> None:
    """As a process starts: a test that walks every page leaves thousands of samples, and every
    scrape would write and read them."""
    metrics.HTTP_REQUESTS.clear()
    metrics.HTTP_DURATION.clear()
