import numpy as np
import pytest

from diagnosis.core.errors import PredictorError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.base import check_images, make_prediction


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 224, 224, 3), np.float32),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((1, 224, 224), np.uint8),
        np.zeros((1, 224, 200, 3), np.uint8),
        np.zeros((1, 224, 224, 4), np.uint8),
    ],
)
def test_images_of_another_shape_or_type_are_not_sent(
    contract: ModelContract, images: np.ndarray
) -> None:
    with pytest.raises(PredictorError, match=r"expected uint8 \[N, 224, 224, 3\]") as caught:
        check_images(images, contract)
    assert caught.value.permanent


def test_images_of_the_right_shape_are(contract: ModelContract) -> None:
    check_images(np.zeros((5, 224, 224, 3), np.uint8), contract)


def test_an_answer_becomes_plain_numbers(contract: ModelContract) -> None:
    prediction = make_prediction(np.array([0.7, 0.1, 0.1, 0.1], np.float32), 1.5, contract)
    assert prediction.probabilities == pytest.approx((0.7, 0.1, 0.1, 0.1))
    assert all(type(value) is float for value in (*prediction.probabilities, prediction.ood_score))


@pytest.mark.parametrize(
    ("probabilities", "ood_score"),
    [
        ([0.5, 0.5, 0.0], 0.0),
        ([0.5, 0.5, 0.5, 0.5], 0.0),
        ([1.2, -0.2, 0.0, 0.0], 0.0),
        ([float("nan"), 0.5, 0.25, 0.25], 0.0),
        ([0.25, 0.25, 0.25, 0.25], float("nan")),
        ([0.25, 0.25, 0.25, 0.25], float("inf")),
        ([[0.25, 0.25, 0.25, 0.25]], 0.0),
    ],
)
def test_nonsense_is_a_permanent_error(
    contract: ModelContract, probabilities: list[float], ood_score: float
) -> None:
    with pytest.raises(PredictorError, match="version 7 of all_smear") as caught:
        make_prediction(np.array(probabilities, np.float32), ood_score, contract)
    assert caught.value.permanent
