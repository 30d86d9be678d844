from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis.core.imaging.contract import ModelContract
from export.errors import PublishError
from export.evaluation.metrics import REFUSED, classification
from export.evaluation.shortcuts import PAINTED_OVER
from export.publishing.gates import check_regression, check_shortcut

GOOD = [[100, 0, 0, 0, 0], [0, 100, 0, 0, 0], [0, 0, 100, 0, 0], [0, 0, 0, 100, 0]]


def figures(confusion: list[list[int]]) -> dict[str, Any]:
    return {"out_of_fold": {"confusion": confusion}}


def moved(row: int, column: int, fields: int) -> dict[str, Any]:
    """The figures of ``GOOD`` with some fields of class ``row`` answered otherwise."""
    confusion = [list(counts) for counts in GOOD]
    confusion[row][row] -= fields
    confusion[row][column] += fields
    return figures(confusion)


def test_what_is_compared_is_what_metrics_calls_by_that_name() -> None:
    """A fall from all right to some confusion is stated as exactly the drop of the two figures."""
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 4, 400), rng.integers(0, REFUSED + 1, 400)
    found = classification(labels, predicted, ["group"] * 400)
    acceptance = check_regression({"out_of_fold": found}, figures(GOOD), "why not")
    assert acceptance is not None
    sensitivity, macro_f1 = found["malignant_sensitivity"]["value"], found["macro_f1"]
    assert (
        f"malignant sensitivity is {sensitivity:.2%}, {100 - 100 * sensitivity:.2f} points below"
        in (acceptance.failure)
    )
    assert (
        f"macro-F1 is {macro_f1:.2%}, {100 - 100 * macro_f1:.2f} points below" in acceptance.failure
    )


def test_the_published_version_can_be_compared(published: Path) -> None:
    metrics = dict(ModelContract.load(published).metrics)
    assert check_regression(metrics, metrics, "") is None
    assert check_regression(figures(GOOD), metrics, "") is None
    with pytest.raises(PublishError, match="malignant sensitivity"):
        check_regression(moved(2, 0, 50), metrics, "")


def test_one_point_less_passes_and_more_does_not() -> None:
    before = figures(GOOD)
    assert check_regression(moved(1, 0, 3), before, "") is None  # 3 of 300 malignant fields
    with pytest.raises(PublishError, match=r"malignant sensitivity is 98\.67%, 1\.33 points below"):
        check_regression(moved(1, 0, 4), before, "")
    with pytest.raises(PublishError, match="malignant sensitivity"):
        check_regression(moved(1, REFUSED, 4), before, "")


def test_types_confused_with_one_another_fail_by_macro_f1_alone() -> None:
    with pytest.raises(PublishError, match="macro-F1") as caught:
        check_regression(moved(1, 2, 20), figures(GOOD), "")
    assert "sensitivity" not in str(caught.value)


def test_a_reason_is_recorded_with_the_failure_it_excuses() -> None:
    acceptance = check_regression(moved(1, 2, 20), figures(GOOD), " sees cells alone ")
    assert acceptance is not None
    assert (acceptance.gate, acceptance.reason) == ("regression", "sees cells alone")
    assert "macro-F1 is 94.95%, 5.05 points below" in acceptance.failure
    assert check_regression(figures(GOOD), figures(GOOD), "sees cells alone") is None


def test_a_blank_reason_is_none() -> None:
    with pytest.raises(PublishError, match="--accept-regression"):
        check_regression(moved(1, 2, 20), figures(GOOD), "  ")


def test_without_a_promoted_version_nothing_is_compared() -> None:
    assert check_regression(moved(1, 0, 90), None, "") is None
    assert check_regression(None, None, "") is None


@pytest.mark.parametrize("candidate", [None, {}, {"calibration": {}}])
@pytest.mark.parametrize("accepted", ["", "in a hurry"])
def test_a_candidate_that_was_not_cross_validated_is_refused(
    candidate: dict[str, Any] | None, accepted: str
) -> None:
    with pytest.raises(PublishError, match="python -m export cross-validate"):
        check_regression(candidate, figures(GOOD), accepted)


def test_a_promoted_version_without_figures_needs_a_reason() -> None:
    with pytest.raises(PublishError, match="no out-of-fold figures"):
        check_regression(figures(GOOD), {}, "")
    assert check_regression(figures(GOOD), {}, "first one measured") is not None


def test_the_shortcut_gate_stands_at_forty_percent() -> None:
    assert check_shortcut({PAINTED_OVER: {"balanced_accuracy": 0.40}}, "") is None
    with pytest.raises(
        PublishError, match=r"40\.10%, 0\.10 points above the 40% .*--accept-shortcut"
    ):
        check_shortcut({PAINTED_OVER: {"balanced_accuracy": 0.401}}, "")
    with pytest.raises(PublishError):
        check_shortcut({PAINTED_OVER: {"balanced_accuracy": float("nan")}}, "")


def test_an_accepted_shortcut_is_recorded() -> None:
    acceptance = check_shortcut({PAINTED_OVER: {"balanced_accuracy": 0.66}}, "for comparison")
    assert acceptance is not None
    assert (acceptance.gate, acceptance.reason) == ("shortcut", "for comparison")
    assert "66.00%" in acceptance.failure
