"""κ against published figures, and whether its interval holds what it promises."""

import numpy as np
import pytest

from diagnosis.statistics.agreement import CLUSTERS, agreement, cohen_kappa

# J. L. Fleiss, "Statistical Methods for Rates and Proportions" (2nd edition, 1981), table 13.1:
# 100 subjects diagnosed by two raters as psychosis, neurosis, organic disorder.
FLEISS = np.array([[75, 1, 4], [5, 4, 1], [0, 0, 10]])
FLEISS_KAPPA = 0.676
# Its standard error by the formula of Fleiss, Cohen and Everitt (1969).
FLEISS_ERROR = 0.0877


def one_each(table: np.ndarray) -> np.ndarray:
    """Tables of as many patients as the table has fields, one field each."""
    places = np.repeat(np.arange(table.size), table.ravel())
    tables = np.zeros((len(places), table.size), int)
    tables[np.arange(len(places)), places] = 1
    return tables.reshape(-1, *table.shape)


def test_kappa_is_that_of_the_textbook() -> None:
    assert float(cohen_kappa(FLEISS.astype(float))) == pytest.approx(FLEISS_KAPPA, abs=5e-4)
    found = agreement(one_each(FLEISS))
    assert found.kappa == pytest.approx(FLEISS_KAPPA, abs=5e-4)
    assert (found.fields, found.patients, found.observed) == (100, 100, 0.89)


def test_with_one_field_a_patient_the_interval_is_about_the_large_sample_one() -> None:
    found = agreement(one_each(FLEISS))
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * FLEISS_ERROR, rel=0.15)
    assert found.low < FLEISS_KAPPA < found.high


def test_fields_of_one_patient_widen_it() -> None:
    """The same hundred fields, but ten of each kind come from one patient."""
    alike = one_each(np.array([[70, 0, 0], [10, 10, 0], [0, 0, 10]]))
    together = alike.reshape(10, 10, 3, 3).sum(axis=1)
    apart, clustered = agreement(alike), agreement(together)
    assert apart.kappa == clustered.kappa
    assert None not in (apart.low, apart.high, clustered.low, clustered.high)
    assert clustered.high - clustered.low > 1.5 * (apart.high - apart.low)  # type: ignore[operator]


def test_agreement_and_disagreement_at_their_ends() -> None:
    assert float(cohen_kappa(np.diag([3.0, 4.0]))) == 1
    assert float(cohen_kappa(np.array([[0.0, 5.0], [5.0, 0.0]]))) == -1
    assert float(cohen_kappa(np.array([[25.0, 25.0], [25.0, 25.0]]))) == 0


@pytest.mark.parametrize("table", [np.zeros((4, 4), int), np.diag([9, 0, 0, 0])])
def test_one_class_alone_has_no_kappa(table: np.ndarray) -> None:
    found = agreement(np.stack([table] * 20))
    assert (found.kappa, found.low, found.high) == (None, None, None)
    assert agreement(np.zeros((0, 4, 4), int)).kappa is None


def test_few_patients_give_no_interval() -> None:
    table = np.array([[4, 1], [1, 4]])
    assert agreement(np.stack([table] * 7)).low is None
    assert agreement(np.stack([table] * 8)).low is not None


def test_more_patients_than_are_drawn_are_all_counted() -> None:
    tables = np.stack([np.diag([1, 0]), np.diag([0, 1]), np.array([[0, 1], [0, 0]])] * CLUSTERS)
    # In this order every cluster would hold the same three patients, and nothing would vary.
    found = agreement(np.random.default_rng(1).permutation(tables))
    assert (found.patients, found.fields) == (3 * CLUSTERS, 3 * CLUSTERS)
    assert found.kappa == pytest.approx(0.4)  # 2/3 observed, 4/9 by chance
    assert found.low is not None
    assert 0.37 < found.low < 0.39


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """40 patients with 8 fields; a patient's fields are right with a probability of its own."""
    rng, held, truth = np.random.default_rng(5), 0, 0.6  # 80 % right, two balanced classes
    for _ in range(150):
        right = rng.beta(4, 1, size=40)  # mean 0.8
        given = rng.integers(0, 2, size=(40, 8))
        read = np.where(rng.random((40, 8)) < right[:, None], given, 1 - given)
        tables = np.zeros((40, 2, 2), int)
        np.add.at(tables, (np.arange(40)[:, None], given, read), 1)
        found = agreement(tables)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.89 <= held / 150 <= 0.99
