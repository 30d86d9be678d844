from functools import partial
from pathlib import Path

import numpy as np
import pytest

from diagnosis.core.errors import ImageRefusedError, PredictorError
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import LABELS, ModelContract
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.validate import FIXES
from diagnosis.core.pipeline import decide, screen
from diagnosis.core.predictors.base import Prediction
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.state import Headline
from tests.diagnosis.made.pictures import (
    BENIGN,
    MALIGNANT,
    FakePredictor,
    make_contract,
    smear_jpeg,
)

bounds = partial(make_contract, suspicious_min=0.5, not_suspicious_max=0.25, ood_max=2.0)


def _headline(malignant: float, ood_score: float = 0.0) -> Headline:
    return decide(Prediction((1 - malignant, malignant, 0.0, 0.0), ood_score), bounds())


@pytest.mark.parametrize(
    ("malignant", "ood_score", "expected"),
    [
        (1.0, 0.0, Headline.SUSPICIOUS),
        (0.5, 0.0, Headline.SUSPICIOUS),  # on the bound
        (0.4999, 0.0, Headline.INDETERMINATE),
        (0.2501, 0.0, Headline.INDETERMINATE),
        (0.25, 0.0, Headline.NOT_SUSPICIOUS),  # on the bound
        (0.0, 0.0, Headline.NOT_SUSPICIOUS),
        (1.0, 2.0, Headline.SUSPICIOUS),  # on the bound
        (1.0, 2.0001, Headline.INDETERMINATE),
        (0.0, 2.0001, Headline.INDETERMINATE),
        (0.0, -5.0, Headline.NOT_SUSPICIOUS),
    ],
)
def test_the_headline_follows_the_bounds_in_order(
    malignant: float, ood_score: float, expected: Headline
) -> None:
    assert _headline(malignant, ood_score) == expected


def test_malignant_is_what_is_not_benign_wherever_that_label_stands() -> None:
    reordered = make_contract(labels=(*LABELS[1:], LABELS[0]))
    assert decide(Prediction((0.0, 0.0, 0.0, 1.0), 0.0), reordered) == Headline.NOT_SUSPICIOUS
    assert decide(Prediction((1.0, 0.0, 0.0, 0.0), 0.0), reordered) == Headline.SUSPICIOUS


def test_three_malignant_classes_add_up() -> None:
    """Benign is the most probable class, and the field is suspicious all the same."""
    prediction = Prediction((0.4, 0.2, 0.2, 0.2), 0.0)
    assert decide(prediction, bounds()) == Headline.SUSPICIOUS


def test_an_accepted_field_has_class_confidence_and_headline(
    contract: ModelContract, smear: bytes
) -> None:
    predictor = FakePredictor(contract)
    outcome = screen(smear, contract, predictor)
    assert outcome.headline == Headline.SUSPICIOUS
    assert outcome.predicted_class == "Malignant Pre-B"
    assert outcome.confidence == 0.8
    assert outcome.validation.accepted
    assert outcome.prediction == Prediction(MALIGNANT, 0.0)
    predictor.probabilities = BENIGN
    assert screen(smear, contract, predictor).predicted_class == "Benign"


def test_every_check_stands_in_the_report(contract: ModelContract, smear: bytes) -> None:
    report = screen(smear, contract, FakePredictor(contract)).validation
    assert [check.name for check in report.checks] == list(FIXES)
    assert report.score == report.checks[0].score


def test_a_rejected_field_has_no_verdict_and_the_model_is_not_asked(
    contract: ModelContract, document: bytes
) -> None:
    predictor = FakePredictor(contract)
    outcome = screen(document, contract, predictor)
    assert outcome.headline == Headline.REJECTED
    assert not outcome.validation.accepted
    assert (outcome.prediction, outcome.predicted_class, outcome.confidence) == (None, None, None)
    assert predictor.calls == 0


def test_the_model_sees_the_canonical_image(contract: ModelContract, smear: bytes) -> None:
    seen: list[np.ndarray] = []

    class Watching(FakePredictor):
        def predict(self, images: np.ndarray) -> list[Prediction]:
            seen.append(images)
            return super().predict(images)

    screen(smear, contract, Watching(contract))
    (images,) = seen
    np.testing.assert_array_equal(images, preprocess(decode(smear).rgb, contract)[np.newaxis])


def test_failures_pass_through(contract: ModelContract, smear: bytes) -> None:
    predictor = FakePredictor(contract)
    predictor.error = PredictorError("away", permanent=False)
    with pytest.raises(PredictorError):
        screen(smear, contract, predictor)
    with pytest.raises(ImageRefusedError):
        screen(smear[:-500], contract, FakePredictor(contract))


def test_a_field_gets_the_same_answer_at_every_camera_s_resolution(published_dir: Path) -> None:
    predictor = EmbeddedPredictor(published_dir)
    for seed in range(3):
        small, middle, large = (
            screen(smear_jpeg(seed, height, width), predictor.contract, predictor)
            for height, width in ((480, 640), (768, 1024), (1944, 2592))
        )
        assert small.headline == middle.headline == large.headline
        assert small.predicted_class == middle.predicted_class == large.predicted_class
        assert small.validation.accepted == middle.validation.accepted == large.validation.accepted
