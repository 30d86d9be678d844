"""Intervals of shares, against published figures and against what they promise."""

import numpy as np
import pytest

from diagnosis.statistics.proportions import proportion, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3 (score)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_is_that_of_the_literature(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits / count, count) == pytest.approx((low, high), abs=1e-4)


def test_independent_fields_have_wilsons_interval() -> None:
    hits = np.array([1] * 10 + [0] * 90)
    found = proportion(hits, np.ones(100, int))
    assert (found.low, found.high) == pytest.approx(wilson(0.1, 100), abs=2e-3)
    assert (found.hits, found.fields, found.patients, found.value) == (10, 100, 100, 0.1)


def test_fields_that_are_all_alike_count_by_patient() -> None:
    """Two of twenty patients have all their ten fields overridden: as 2 of about 20."""
    hits, fields = np.array([10, 10] + [0] * 18), np.full(20, 10)
    found = proportion(hits, fields)
    assert (found.low, found.high) == pytest.approx(wilson(0.1, 19), abs=2e-3)


@pytest.mark.parametrize("share", [0, 1])
def test_where_all_or_none_are_hits_each_patient_counts_as_one(share: int) -> None:
    found = proportion(np.full(20, 10 * share), np.full(20, 10))
    assert (found.low, found.high) == wilson(share, 20)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """30 patients with 12 fields each, whose own rates scatter around 20 %."""
    rng, held = np.random.default_rng(2), 0
    for _ in range(1000):
        found = proportion(rng.binomial(12, rng.beta(1, 4, size=30)), np.full(30, 12))
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / 1000 <= 0.98
