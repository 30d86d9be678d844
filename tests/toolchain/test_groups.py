"""Tests of one group share what is dear to prepare, so they must run in one process."""

import os

import pytest

pytestmark = pytest.mark.xdist_group("kept_together")


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="runs in one process anyway")
def test_a_group_is_kept_together(request: pytest.FixtureRequest) -> None:
    """pytest-xdist sorts by this suffix, and says nothing where it cannot set it."""
    assert request.node.nodeid.endswith("@kept_together")
