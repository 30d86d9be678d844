import math

import numpy as np
import pytest

from export.evaluation.metrics import (
    REFUSED,
    area_under_roc,
    calibration_error,
    classification,
    clopper_pearson,
    proportion,
)
from export.training.calibrate import (
    NOT_SUSPICIOUS_CEILING,
    NOTHING_SEEN,
    Decision,
    fit_domain,
    fit_not_suspicious_max,
    fit_temperature,
    ood_scores,
)


@pytest.mark.parametrize(
    ("successes", "n", "lower", "upper"),
    [
        (18, 18, 0.8147, 1.0),  # CLINICAL.md: 18 of 18 has a lower bound of 81 %
        (0, 10, 0.0, 0.3085),
        (5, 10, 0.1871, 0.8129),
        (95, 100, 0.8872, 0.9836),
    ],
)
def test_clopper_pearson_against_published_tables(
    successes: int, n: int, lower: float, upper: float
) -> None:
    assert clopper_pearson(successes, n) == pytest.approx((lower, upper), abs=1e-4)


def test_bounds_have_the_tail_probability_they_promise() -> None:
    lower, upper = clopper_pearson(7, 40)

    def tail(p: float, counts: range) -> float:
        return sum(math.comb(40, k) * p**k * (1 - p) ** (40 - k) for k in counts)

    assert tail(lower, range(7, 41)) == pytest.approx(0.025, abs=1e-6)
    assert tail(upper, range(8)) == pytest.approx(0.025, abs=1e-6)


def test_a_proportion_carries_number_groups_and_worst_group() -> None:
    figure = proportion(np.array([True, True, True, False]), ["a", "a", "b", "b"])
    assert (figure["value"], figure["n"], figure["groups"]) == (0.75, 4, 2)
    assert figure["group_range"] == [0.5, 1.0]


def test_a_refused_field_counts_as_an_error() -> None:
    labels = np.array([0, 0, 1, 2, 3])
    figures = classification(labels, np.array([0, REFUSED, 1, 3, 3]), list("aabcd"))
    assert figures["accuracy"]["successes"] == 3
    assert figures["recall"]["Benign"]["value"] == 0.5
    assert figures["confusion"][0] == [1, 0, 0, 0, 1]
    assert figures["confusion"][2] == [0, 0, 0, 1, 0]
    assert figures["balanced_accuracy"] == pytest.approx((0.5 + 1 + 0 + 1) / 4)


def test_calibration_error_of_an_overconfident_answer() -> None:
    probabilities = np.array([[0.95, 0.05, 0, 0]] * 10)
    labels = np.array([0] * 5 + [1] * 5)
    assert calibration_error(probabilities, labels) == pytest.approx(0.45)


def test_temperature_is_found_again() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (4000, 4))
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=share) for share in shares])
    found = fit_temperature((honest * 3).astype(np.float32), labels)
    assert found == pytest.approx(3.0, rel=0.08)


def test_no_malignant_calibration_field_is_not_suspicious() -> None:
    bound = fit_not_suspicious_max(np.array([0.04, 0.9, 0.99]))
    assert 0.038 < bound < 0.0395  # clear of the field by more than runtimes may differ
    assert fit_not_suspicious_max(np.array([0.0002, 0.9])) == 0
    assert fit_not_suspicious_max(np.array([0.8, 0.9])) == NOT_SUSPICIOUS_CEILING


def test_the_promise_for_a_new_group_is_kept() -> None:
    """Smallest m of groups drawn alike: a new one lies below the bound 1 in n + 1 times."""
    rng = np.random.default_rng(0)
    n, below = 9, 0
    for _ in range(4000):
        groups = rng.beta(8, 0.8, (n + 1, 5)) * 0.24
        below += bool(groups[-1].min() <= fit_not_suspicious_max(groups[:-1].ravel()))
    assert below / 4000 == pytest.approx(1 / (n + 1), abs=0.015)


def test_a_decision_uses_the_rule_that_serves_users() -> None:
    decision = Decision(2.0, 1.5, 0.5, 0.1, 9)
    logits = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [3, 1, 0, 0], [9, 0, 0, 0]], np.float32)
    assert decision.probabilities(logits)[2, 0] == pytest.approx(
        np.exp(1.5) / (np.exp(1.5) + np.exp(0.5) + 2)
    )
    scores = np.array([1, 1, 1, 2], np.float32)
    assert decision.confident(logits, scores).tolist() == [True, True, False, False]
    assert decision.group_risk == pytest.approx(0.1)


def test_a_field_without_any_feature_is_the_strangest() -> None:
    features = np.array([[0, 0], [1, 2]], np.float32)
    scores = ood_scores(features, np.eye(2, dtype=np.float32), np.zeros((4, 2), np.float32))
    assert scores.tolist() == pytest.approx([NOTHING_SEEN, np.sqrt(2.5)])


def test_macro_f1_and_malignancy_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    predicted = np.array([0, 0, 1, 1, 2, 2, REFUSED, 0])
    figures = classification(labels, predicted, list("aabbccdd"))
    f1 = [2 * 2 / (3 + 3), 2 * 1 / (2 + 2), 2 * 1 / (2 + 2), 0]
    assert figures["macro_f1"] == pytest.approx(np.mean(f1))
    assert figures["malignant_sensitivity"]["successes"] == 3  # one refused, one called Benign
    assert figures["malignant_sensitivity"]["n"] == 5
    assert figures["malignant_specificity"]["value"] == pytest.approx(2 / 3)


def test_area_under_roc_counts_pairs_in_the_right_order() -> None:
    probabilities = np.array(
        [[0.7, 0.1, 0.1, 0.1], [0.3, 0.4, 0.2, 0.1], [0.4, 0.2, 0.3, 0.1], [0.1, 0.2, 0.1, 0.6]]
    )
    areas = area_under_roc(probabilities, np.array([0, 1, 2, 3]))
    assert areas["by_class"]["Benign"] == 1.0
    assert areas["malignant"] == 1.0
    flipped = area_under_roc(probabilities, np.array([2, 1, 0, 3]))
    assert flipped["malignant"] == pytest.approx(2 / 3)  # one of three malignant below Benign's


def test_a_share_of_nothing_says_nothing() -> None:
    figure = proportion(np.array([], bool), [])
    assert (figure["n"], figure["interval"]) == (0, [0.0, 1.0])


def test_distance_is_about_one_inside_a_class_and_grows_outside() -> None:
    rng = np.random.default_rng(1)
    mix = rng.normal(0, 1, (16, 16))
    centres = rng.normal(0, 10, (4, 16))
    labels = np.arange(2000) % 4
    features = (centres[labels] + rng.normal(0, 1, (2000, 16)) @ mix).astype(np.float32)
    whitening, means = fit_domain(features, labels)
    inside = ood_scores(features, whitening, means)
    assert np.median(inside) == pytest.approx(1.0, abs=0.1)
    between = centres.mean(axis=0, keepdims=True).astype(np.float32)
    assert ood_scores(between, whitening, means)[0] > np.quantile(inside, 0.99)
    far = ood_scores(features[:1] + np.float32(100), whitening, means)
    assert far[0] > 5 * inside.max()
