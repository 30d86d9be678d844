import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from diagnosis.core.errors import ContractError, PredictorError
from diagnosis.core.imaging.contract import CONTRACT_FILE, ModelContract
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.embedded import EmbeddedPredictor


@pytest.fixture(scope="module")
def embedded(published_dir: Path) -> EmbeddedPredictor:
    return EmbeddedPredictor(published_dir)


@pytest.fixture(scope="module")
def images(embedded: EmbeddedPredictor) -> np.ndarray:
    fields = [preprocess(draw_smear(seed, 300, 400), embedded.contract) for seed in range(3)]
    return np.stack(fields)


def test_it_answers_with_its_version_s_contract(
    embedded: EmbeddedPredictor, published_dir: Path
) -> None:
    assert embedded.contract.version == int(published_dir.name)
    assert embedded.contract.name == published_dir.parent.name


def test_it_gives_what_the_saved_model_gave_when_the_version_was_published(
    embedded: EmbeddedPredictor, published_dir: Path
) -> None:
    golden = np.load(published_dir / "assets.extra/golden.npz")
    answers = embedded.predict(golden["images"])
    found = np.array([answer.probabilities for answer in answers])
    np.testing.assert_allclose(found, golden["probabilities"], atol=1e-4)
    np.testing.assert_allclose(
        [answer.ood_score for answer in answers], golden["ood_score"], rtol=1e-3
    )


def test_a_batch_answers_in_order_as_single_images_do(
    embedded: EmbeddedPredictor, images: np.ndarray
) -> None:
    together = embedded.predict(images)
    assert together == [embedded.predict(image[np.newaxis])[0] for image in images]
    assert embedded.predict(images[::-1]) == together[::-1]
    assert embedded.predict(images[:0]) == []
    for answer in together:
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-4)


def test_an_explanation_says_the_same_and_where(
    embedded: EmbeddedPredictor, images: np.ndarray
) -> None:
    explanation = embedded.explain(images[0])
    (prediction,) = embedded.predict(images[:1])
    assert explanation.prediction.probabilities == pytest.approx(prediction.probabilities, abs=1e-5)
    assert explanation.activation.shape == (7, 7)
    assert explanation.activation.dtype == np.float32
    assert explanation.activation.min() >= 0
    assert explanation.activation.max() <= 1


def test_threads_share_it(embedded: EmbeddedPredictor, images: np.ndarray) -> None:
    expected = embedded.predict(images)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(embedded.predict(images))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_a_wrong_shape_is_refused(embedded: EmbeddedPredictor) -> None:
    for wrong in (np.zeros((1, 100, 100, 3), np.uint8), np.zeros((1, 224, 224, 3), np.float32)):
        with pytest.raises(PredictorError) as caught:
            embedded.predict(wrong)
        assert caught.value.permanent
    with pytest.raises(PredictorError):
        embedded.explain(np.zeros((1, 224, 224, 3), np.uint8))


@pytest.fixture
def copied(published_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published_dir, tmp_path / published_dir.name))


def test_changed_weights_are_not_served(copied: Path) -> None:
    model = copied / "assets.extra/model.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ContractError, match="does not match its contract"):
        EmbeddedPredictor(copied)


@pytest.mark.parametrize("name", ["assets.extra/model.tflite", "saved_model.pb", CONTRACT_FILE])
def test_a_version_with_a_file_missing_is_not_served(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ContractError, match=name.rpartition("/")[2]):
        EmbeddedPredictor(copied)


def test_the_published_contract_is_the_one_this_code_reads(published_dir: Path) -> None:
    contract = ModelContract.load(published_dir)
    assert 0 < contract.thresholds["colour_histogram"] <= 1
