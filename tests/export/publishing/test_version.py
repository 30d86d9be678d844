"""The version that this checkout serves: its files, its signatures, its accuracy."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.predictors.store import version_dir
from export.config import model_name, model_store
from export.data.dataset import Field, labels_of, read_fields
from export.data.split import official_split
from export.evaluation.evaluate import measure_fields
from export.publishing.modelcard import render
from export.training import savedmodel
from export.training.train import covered_images

pytestmark = pytest.mark.xdist_group("version")


@pytest.fixture(scope="module")
def predictor(published: Path) -> EmbeddedPredictor:
    """Loading it also proves that the files are those the contract was written for."""
    return EmbeddedPredictor(published)


@pytest.fixture(scope="module")
def images(predictor: EmbeddedPredictor) -> NDArray[np.uint8]:
    return np.stack([preprocess(draw_smear(seed), predictor.contract) for seed in range(100, 104)])


@pytest.fixture(scope="module")
def signatures(published: Path) -> savedmodel.Signatures:
    return savedmodel.load_signatures(published)


@pytest.fixture(scope="module")
def explained(signatures: savedmodel.Signatures, images: NDArray[np.uint8]) -> savedmodel.Answer:
    return savedmodel.saved_model_answers(signatures, "explain", images)


def test_both_serving_signatures_agree_to_a_hundred_thousandth(
    signatures: savedmodel.Signatures, explained: savedmodel.Answer, images: NDArray[np.uint8]
) -> None:
    floats = savedmodel.saved_model_answers(signatures, "serving_default", images)
    raw = savedmodel.saved_model_answers(signatures, "serving_bytes", images)
    assert set(floats) == set(raw) == {"probabilities", "ood_score"}
    assert floats["probabilities"].shape == (4, 4)
    assert floats["ood_score"].shape == (4,)
    for name in floats:
        # Dividing in TensorFlow rounds otherwise, and standardising enlarges the difference.
        np.testing.assert_allclose(raw[name], floats[name], atol=1e-5)
        np.testing.assert_allclose(explained[name], floats[name], atol=1e-6, rtol=1e-6)
    assert explained["activation"].shape == (4, 7, 7)
    assert explained["activation"].min() >= 0
    assert explained["activation"].max() <= 1


def test_bytes_of_another_length_are_an_error_and_not_other_images(
    signatures: savedmodel.Signatures,
) -> None:
    import tensorflow as tf

    two_in_one = tf.constant([bytes(2 * 224 * 224 * 3)])
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["serving_bytes"](image_bytes=two_in_one)


def test_the_embedded_runtime_answers_like_the_saved_model(
    explained: savedmodel.Answer, predictor: EmbeddedPredictor, images: NDArray[np.uint8]
) -> None:
    for i, image in enumerate(images):
        explanation = predictor.explain(image)
        prediction = explanation.prediction
        np.testing.assert_allclose(
            prediction.probabilities, explained["probabilities"][i], atol=1e-4
        )
        assert abs(prediction.ood_score - explained["ood_score"][i]) <= 1e-4
        # A map is stretched to [0, 1], and differences are stretched with it.
        np.testing.assert_allclose(explanation.activation, explained["activation"][i], atol=1e-3)
        (predicted,) = predictor.predict(image[np.newaxis])
        np.testing.assert_allclose(predicted.probabilities, prediction.probabilities, atol=1e-6)
        assert predicted.ood_score == pytest.approx(prediction.ood_score, abs=1e-5)


def test_golden_vectors_pin_preprocessing_and_answers(
    published: Path, predictor: EmbeddedPredictor
) -> None:
    golden = np.load(published / "assets.extra/golden.npz")
    drawn = [preprocess(draw_smear(seed), predictor.contract) for seed in range(4)]
    np.testing.assert_array_equal(golden["images"], np.stack(drawn))
    predictions = predictor.predict(golden["images"])
    found = np.array([prediction.probabilities for prediction in predictions])
    np.testing.assert_allclose(found, golden["probabilities"], atol=1e-4)
    scores = [prediction.ood_score for prediction in predictions]
    np.testing.assert_allclose(scores, golden["ood_score"], atol=1e-4)


def test_warm_up_requests_are_of_this_model_and_can_be_answered(
    published: Path, predictor: EmbeddedPredictor, signatures: savedmodel.Signatures
) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = published / "assets.extra/tf_serving_warmup_requests"
    asked = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == predictor.contract.name
        asked.append(request.model_spec.signature_name)
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        answer = signatures[asked[-1]](**inputs)
        assert abs(float(tf.reduce_sum(answer["probabilities"])) - 1) < 1e-5
    assert asked == ["serving_default", "serving_bytes"]


def test_the_version_is_small_and_float32(published: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    size = sum(path.stat().st_size for path in published.rglob("*") if path.is_file())
    assert size <= 25_000_000
    interpreter = Interpreter(model_path=str(published / "assets.extra/model.tflite"))
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert not kinds & {np.int8, np.uint8, np.int16, np.float16}


def test_the_card_says_what_the_contract_says(
    published: Path, predictor: EmbeddedPredictor
) -> None:
    card = json.loads((published / "assets.extra/model_card.json").read_text())
    assert card["figures"] == dict(predictor.contract.metrics)
    text = (published / "assets.extra/model_card.md").read_text()
    accuracy = card["figures"]["calibration"]["accuracy"]
    assert f"{accuracy['successes']} of {accuracy['n']} fields" in text
    assert "Research use only" in text


@pytest.fixture(scope="module")
def calibration(data_dir: Path) -> list[Field]:
    """The real fields of that split; reading them decodes the whole set."""
    return official_split(read_fields(data_dir))[1]


@pytest.mark.data
def test_conversion_agrees_on_real_fields(
    published: Path, signatures: savedmodel.Signatures, calibration: list[Field]
) -> None:
    images = covered_images(calibration[::8])
    model = (published / "assets.extra/model.tflite").read_bytes()
    expected = savedmodel.saved_model_answers(signatures, "serving_default", images)
    found = savedmodel.litert_answers(model, "serving_default", images)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)


@pytest.mark.data
def test_accuracy_on_calibration_through_the_serving_path(
    predictor: EmbeddedPredictor, calibration: list[Field]
) -> None:
    figures = measure_fields(calibration, predictor)
    assert figures["accuracy"]["n"] == len(labels_of(calibration)) == 498
    assert figures["accuracy"]["value"] >= 0.98
    declared = dict(predictor.contract.metrics["calibration"]["accuracy"])
    assert figures["accuracy"].pop("interval") == pytest.approx(declared.pop("interval"))
    assert figures["accuracy"].pop("group_range") == pytest.approx(declared.pop("group_range"))
    assert figures["accuracy"] == pytest.approx(declared)


def test_the_card_says_how_a_network_on_cells_was_begun_and_how_to_make_it_again() -> None:
    def text(version: int) -> str:
        folder = version_dir(model_store(), model_name(), version) / "assets.extra"
        return render(json.loads((folder / "model_card.json").read_bytes()))

    on_cells, on_fields = text(2), text(1)
    assert "from ImageNet weights (sha256 `205227980811`)" in on_cells
    assert "python -m export imagenet" in on_cells
    assert on_cells.count("--weights runs/mobilenet_v2.weights.h5") == 2
    assert "from windows of 160 × 160 pixels" in on_cells
    for words in ("sees nucleated cells alone", "hidden from this network"):
        assert words in on_cells
        assert words not in on_fields
    for words in ("imagenet", "--weights", "from windows"):
        assert words not in on_fields
    assert "weakens that shortcut" in on_fields
