"""Every answer recorded from a real TensorFlow Serving 2.19.1, given to our client.

The recorded models have five classes and an output ``version`` where ours have ``ood_score``; that
name alone is exchanged, so that their answers can be ours.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis.core.errors import ModelAwayError, PredictorError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.tf_serving import TFServingPredictor
from diagnosis.core.predictors.wire import read_state
from tests.diagnosis.made.pictures import make_contract
from tests.tfserving.model_server import Asked, ModelServer, Reply
from tests.tfserving.patience import PATIENT

CASES: dict[str, dict[str, Any]] = {
    case["case"]: case
    for case in json.loads((Path(__file__).parent / "recorded_responses.json").read_bytes())
}

# Answers in the format that is asked for, and how many images they answer.
ANSWERS = {
    "predict row plain list": 1,
    "batching: 2 rows": 2,
    "batching: mixed shapes ok?": 1,
    "predict row named": 2,
    "predict b64 row bare": 1,
    "predict b64 row named": 1,
    "wrong shape (3x3x3)": 1,
    "label stable predict": 1,
    "label canary predict": 1,
    "no label -> latest": 1,
}
# 200 without a body that could be an answer: what lies between may have lost it.
EMPTY = {"OPTIONS origin", "cors preflight"}


@pytest.fixture(scope="module")
def five_classes() -> ModelContract:
    return make_contract(labels=tuple("abcde"))


def replay(case: dict[str, Any]) -> Reply:
    body = case["body"].replace('"version": 1.0', '"ood_score": 1.0')
    body = body.replace('"version": 2.0', '"ood_score": 2.0').encode()
    changed = len(body) != len(case["body"].encode())
    headers = case["headers"] | ({"Content-Length": str(len(body))} if changed else {})
    return Reply(case["status"], body, headers)


def ask(case: dict[str, Any], contract: ModelContract, count: int = 1) -> tuple[Any, int]:
    """What the client makes of a case, and how often it asked."""
    images = np.zeros((count, 224, 224, 3), np.uint8)
    reply = replay(case)

    def script(asked: Asked) -> Reply:
        return reply

    with ModelServer(script) as server:
        predictor = TFServingPredictor([server.url], contract, PATIENT)
        try:
            return predictor.predict(images), len(server.asked)
        except PredictorError as error:
            return error, len(server.asked)


def test_every_case_is_there() -> None:
    assert len(CASES) == 142
    assert ANSWERS.keys() | EMPTY <= CASES.keys()


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_becomes_predictions(name: str, five_classes: ModelContract) -> None:
    rows = json.loads(CASES[name]["body"])["predictions"]
    found, asked = ask(CASES[name], five_classes, ANSWERS[name])
    assert [list(prediction.probabilities) for prediction in found] == [
        pytest.approx(row["probabilities"]) for row in rows
    ]
    assert [prediction.ood_score for prediction in found] == [row["version"] for row in rows]
    assert asked == 1


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_of_five_classes_is_none_of_four(name: str) -> None:
    error, asked = ask(CASES[name], make_contract(), ANSWERS[name])
    assert error.permanent
    assert asked == 1


@pytest.mark.parametrize(
    "name",
    [n for n, c in CASES.items() if c["status"] == 200 and n not in ANSWERS.keys() | EMPTY],
)
def test_another_answer_is_permanently_wrong(name: str, five_classes: ModelContract) -> None:
    error, asked = ask(CASES[name], five_classes)
    assert error.permanent, error
    assert asked == 1


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_an_empty_answer_may_pass(name: str, five_classes: ModelContract) -> None:
    error, asked = ask(CASES[name], five_classes)
    assert not error.permanent
    assert not isinstance(error, ModelAwayError)
    assert asked == PATIENT.attempts


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c["status"] != 200])
def test_an_error_is_the_server_s(name: str, five_classes: ModelContract) -> None:
    """What is sent is always well-formed, so no 400 is the image's fault."""
    error, asked = ask(CASES[name], five_classes)
    assert not error.permanent, error
    assert isinstance(error, ModelAwayError) is (CASES[name]["status"] in (404, 504))
    assert asked == PATIENT.attempts
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("status version", "AVAILABLE"),
        ("GET unloaded version", "END"),
        ("status of model removed from config", "END"),
        ("status unknown version", "HTTP 404"),
        ("metadata", "HTTP 200"),
        ("nan output", "HTTP 200"),
    ],
)
def test_a_version_s_state(name: str, state: str) -> None:
    case = CASES[name]
    assert read_state(case["status"], case["body"].encode()) == state
