"""Limits on drift: how often honest windows pass them, and that they know of patients."""

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.drift import FEWEST, PER_PATIENT, STATISTICS, distance, quantiles
from export.errors import DataError
from export.publishing.drift_reference import make_reference

COUNT = len(STATISTICS)


def patients(
    rng: np.random.Generator, number: int, between: float, fields: int = 30
) -> tuple[NDArray[np.float64], list[str]]:
    """Fields of ``number`` patients whose means scatter by ``between`` around 0."""
    means = rng.normal(0, between, (number, 1, COUNT))
    values = means + rng.normal(0, 1, (number, fields, COUNT))
    return values.reshape(-1, COUNT), [f"p{n}" for n in range(number) for _ in range(fields)]


def test_windows_of_other_honest_patients_seldom_pass_the_limits() -> None:
    rng = np.random.default_rng(1)
    train, groups = patients(rng, 60, between=0.7)
    held_out, others = patients(rng, 20, between=0.7)
    made = make_reference(train, groups, held_out, [f"h{g}" for g in others], "c" * 64, 600)
    assert made.false_alarms["watch"] == 0.05
    passed = []
    for _ in range(300):
        window, _ = patients(rng, FEWEST // PER_PATIENT, 0.7, PER_PATIENT)
        passed.append(
            [
                distance(made.values[name], np.sort(window[:, column])) >= made.limits[name].watch
                for column, name in enumerate(STATISTICS)
            ]
        )
    # One in twenty by any of them; 60 patients are a sample too, hence the margin.
    assert np.any(passed, axis=1).mean() <= 0.15
    assert np.mean(passed) < 0.02


def test_patients_that_differ_more_allow_more() -> None:
    limits = []
    for between in (0.1, 1.0):
        rng = np.random.default_rng(2)
        train, groups = patients(rng, 30, between)
        made = make_reference(train, groups, train[:0], [], "c" * 64, 300)
        limits.append(made.limits["focus"].drift)
        assert made.limits["focus"].watch < made.limits["focus"].drift
        assert (made.fields, made.groups) == (900, 30)
        assert made.values["focus"] == pytest.approx(quantiles(train[:, STATISTICS.index("focus")]))
    assert limits[1] > 1.5 * limits[0]


def test_a_statistic_that_refused_fields_lack_is_of_the_others() -> None:
    rng = np.random.default_rng(3)
    train, groups = patients(rng, 25, 0.5)
    train[::4, STATISTICS.index("ood_score")] = np.nan
    train[:, STATISTICS.index("brightness")] = 1.0
    made = make_reference(train, groups, train[:0], [], "c" * 64, 200)
    assert np.isfinite(made.values["ood_score"]).all()
    assert made.limits["brightness"].watch > 0, "a constant must not alarm at once"


def test_too_few_patients_give_no_limits() -> None:
    train, groups = patients(np.random.default_rng(4), 19, 0.5)
    with pytest.raises(DataError, match="need 20 groups, and there are 19"):
        make_reference(train, groups, train[:0], [], "c" * 64, 10)
