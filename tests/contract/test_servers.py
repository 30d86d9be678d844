"""One suite for the embedded model, the graph behind REST, and a real TensorFlow Serving.

The last runs where TFSERVING_URL names a server of this repository's ``serving/models``.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from diagnosis.core.errors import ModelAwayError
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.pipeline import decide
from diagnosis.core.predictors.base import Prediction, Predictor
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.predictors.store import published_versions, read_live, version_dir
from diagnosis.core.predictors.tf_serving import BATCH, TFServingPredictor
from tests.contract.conftest import NAME, STORE
from tests.tfserving.agreement import same_probabilities
from tests.tfserving.patience import PATIENT
from tests.waiting import WITHIN_S

SERVERS = ["graph_server", pytest.param("real_server", marks=pytest.mark.real_server)]
ALL = ["embedded", *SERVERS]

# In one process, so that TensorFlow starts once.
pytestmark = pytest.mark.xdist_group("graph_server")


def urls_of(request: pytest.FixtureRequest, kind: str) -> list[str]:
    found: str | list[str] = request.getfixturevalue(kind)
    return [found] if isinstance(found, str) else found


def make(request: pytest.FixtureRequest, kind: str, contract: ModelContract) -> Predictor:
    if kind == "embedded":
        return EmbeddedPredictor(version_dir(STORE, NAME, contract.version))
    return TFServingPredictor(urls_of(request, kind), contract, PATIENT)


@pytest.fixture
def predictor(request: pytest.FixtureRequest, stable: ModelContract) -> Predictor:
    return make(request, request.param, stable)


@pytest.fixture(scope="module")
def images(stable: ModelContract) -> NDArray[np.uint8]:
    drawn = [draw_smear(seed, 224, 224) for seed in range(3)]
    turned = [np.rot90(field[:, ::way], k) for field in drawn for way in (1, -1) for k in range(4)]
    return np.stack([preprocess(field, stable) for field in turned[: BATCH + 2]])


@pytest.fixture(scope="module")
def embedded(stable: ModelContract) -> EmbeddedPredictor:
    return EmbeddedPredictor(version_dir(STORE, NAME, stable.version))


def assert_equal_answers(
    found: list[Prediction], expected: list[Prediction], contract: ModelContract
) -> None:
    """Headline and class are the same, and the numbers as near as ``SERVED_TOLERANCE``."""
    for answer, wanted in zip(found, expected, strict=True):
        assert same_probabilities(answer.probabilities, wanted.probabilities)
        assert np.argmax(answer.probabilities) == np.argmax(wanted.probabilities)
        assert decide(answer, contract) == decide(wanted, contract)
    np.testing.assert_allclose(
        [answer.ood_score for answer in found],
        [answer.ood_score for answer in expected],
        rtol=1e-3,
    )


@pytest.mark.data
@pytest.mark.parametrize("predictor", ALL, indirect=True)
def test_all_give_the_same_answers_to_real_fields(
    predictor: Predictor, embedded: EmbeddedPredictor, data_dir: Path
) -> None:
    files = sorted((data_dir / "all_smears").glob("*/*.jpg"))[::80]
    assert len(files) > 30
    fields = [preprocess(decode(file.read_bytes()).rgb, embedded.contract) for file in files]
    batch = np.stack(fields)
    assert_equal_answers(predictor.predict(batch), embedded.predict(batch), embedded.contract)


@pytest.mark.parametrize("predictor", ALL, indirect=True)
def test_all_give_the_same_answers_to_drawings(
    predictor: Predictor, embedded: EmbeddedPredictor, images: NDArray[np.uint8]
) -> None:
    assert_equal_answers(predictor.predict(images), embedded.predict(images), embedded.contract)


@pytest.mark.parametrize("predictor", ALL, indirect=True)
def test_all_give_the_golden_answers(predictor: Predictor) -> None:
    folder = version_dir(STORE, NAME, predictor.contract.version)
    golden = np.load(folder / "assets.extra/golden.npz")
    found = [answer.probabilities for answer in predictor.predict(golden["images"])]
    for answer, wanted in zip(found, golden["probabilities"], strict=True):
        assert same_probabilities(answer, wanted)


@pytest.mark.parametrize("predictor", ALL, indirect=True)
def test_all_explain_alike(
    predictor: Predictor, embedded: EmbeddedPredictor, images: NDArray[np.uint8]
) -> None:
    found, expected = predictor.explain(images[0]), embedded.explain(images[0])
    np.testing.assert_allclose(found.activation, expected.activation, atol=1e-3)
    assert_equal_answers([found.prediction], [expected.prediction], embedded.contract)


@pytest.mark.parametrize("predictor", ALL, indirect=True)
def test_all_are_there(predictor: Predictor) -> None:
    assert predictor.is_ready()
    assert predictor.is_available()


@pytest.mark.parametrize("kind", SERVERS)
def test_an_unknown_version_is_away(
    request: pytest.FixtureRequest, kind: str, images: NDArray[np.uint8]
) -> None:
    unknown = max(published_versions(STORE, NAME)) + 1000
    contract = json.loads(_contract_text())
    nobody = ModelContract.from_json(json.dumps(contract | {"version": unknown}).encode())
    predictor = make(request, kind, nobody)
    assert not predictor.is_available()
    with pytest.raises(ModelAwayError, match=f"version {unknown}"):
        predictor.predict(images[:1])


@pytest.mark.parametrize("kind", SERVERS)
def test_both_signatures_are_equal(
    request: pytest.FixtureRequest, kind: str, stable: ModelContract, images: NDArray[np.uint8]
) -> None:
    url = urls_of(request, kind)[0]
    floats = (images[:2].astype(np.float32) / np.float32(127.5) - 1).tolist()
    body: dict[str, Any] = {"signature_name": "serving_default", "instances": floats}
    answer = requests.post(f"{url}/versions/{stable.version}:predict", json=body, timeout=WITHIN_S)
    found = [row["probabilities"] for row in answer.json()["predictions"]]
    by_bytes = make(request, kind, stable).predict(images[:2])
    np.testing.assert_allclose(
        found, [prediction.probabilities for prediction in by_bytes], atol=1e-6
    )


@pytest.mark.parametrize("kind", SERVERS)
def test_versions_are_asked_side_by_side(
    request: pytest.FixtureRequest, kind: str, images: NDArray[np.uint8]
) -> None:
    """What a swap and a canary need: every version that live.json names answers under load."""
    live = read_live(STORE, NAME)
    numbers = sorted({n for n in (live.stable, live.canary, live.previous) if n is not None})
    predictors = [
        make(request, kind, ModelContract.load(version_dir(STORE, NAME, number)))
        for number in numbers
    ]
    alone = [predictor.predict(images[:1])[0].probabilities for predictor in predictors]

    def ask(turn: int) -> None:
        which = turn % len(predictors)
        found = predictors[which].predict(images[:1])[0].probabilities
        assert found == pytest.approx(alone[which], abs=1e-5)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(40)))


def _contract_text() -> str:
    folder = version_dir(STORE, NAME, read_live(STORE, NAME).stable)
    return (folder / "assets.extra/contract.json").read_text()
