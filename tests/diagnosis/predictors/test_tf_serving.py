"""The client against a server that misbehaves; its recorded answers are in tests/contract."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.errors import ModelAway, PredictorError
from diagnosis.imaging.contract import ModelContract
from diagnosis.predictors import wire
from diagnosis.predictors.circuit import Circuit
from diagnosis.predictors.tf_serving import BATCH, TFServingPredictor
from tests.on_mariadb import free_port
from tests.tfserving.impatient import IMPATIENT
from tests.tfserving.misbehaviour import MEAN, NONSENSE, PASSING, answer, in_turn, numbered, scores
from tests.tfserving.model_server import ModelServer, Reply, error_reply, json_reply


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


@pytest.fixture
def predictor(server: ModelServer, contract: ModelContract) -> TFServingPredictor:
    return TFServingPredictor([server.url], contract, IMPATIENT)


def test_what_is_sent(server: ModelServer, predictor: TFServingPredictor) -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), np.uint8)
    (prediction,) = predictor.predict(image)
    (asked,) = server.asked
    assert asked.path == "/v1/models/all_smear/versions/7:predict"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Host"] == f"127.0.0.1:{server.port}"
    document = json.loads(asked.body)
    assert document["signature_name"] == "serving_bytes"
    assert base64.b64decode(document["instances"][0]["image_bytes"]["b64"]) == image.tobytes()
    assert prediction.probabilities == (MEAN,) * 4
    assert len(asked.body) < 201_000


def test_many_images_travel_together_and_come_back_in_order(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    assert scores(predictor, 2 * BATCH + 3) == list(range(2 * BATCH + 3))
    assert [len(json.loads(a.body)["instances"]) for a in server.asked] == [BATCH, BATCH, 3]
    assert predictor.predict(numbered(1)[:0]) == []


def test_an_explanation_is_asked_with_the_floats_of_the_uniform_input(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    image = np.random.default_rng(2).integers(0, 256, (224, 224, 3), np.uint8)
    row = {"probabilities": [MEAN] * 4, "ood_score": 1.5}
    activation = (np.arange(49).reshape(7, 7) / 48).tolist()
    server.script = in_turn(json_reply({"predictions": [row | {"activation": activation}]}))
    explanation = predictor.explain(image)
    sent = json.loads(server.asked[0].body)
    assert sent["signature_name"] == "explain"
    found = np.asarray(sent["instances"], np.float32)
    assert np.array_equal(found, image[np.newaxis].astype(np.float32) / np.float32(127.5) - 1)
    assert explanation.prediction.ood_score == 1.5
    assert explanation.activation.tolist() == np.float32(activation).tolist()


@pytest.mark.parametrize("activation", [[[0.5] * 7] * 6, [[2.0] * 7] * 7, 1.0])
def test_a_map_that_is_none(
    server: ModelServer, predictor: TFServingPredictor, activation: Any
) -> None:
    row = {"probabilities": [MEAN] * 4, "ood_score": 1.5, "activation": activation}
    server.script = in_turn(json_reply({"predictions": [row]}))
    with pytest.raises(PredictorError, match="7 × 7") as caught:
        predictor.explain(numbered(1)[0])
    assert caught.value.permanent


@pytest.mark.parametrize(
    "images",
    [np.zeros((224, 224, 3), np.uint8), np.zeros((1, 224, 224, 3), np.float32)],
    ids=["rank", "dtype"],
)
def test_what_could_abort_a_server_is_never_sent(
    server: ModelServer, predictor: TFServingPredictor, images: NDArray[Any]
) -> None:
    with pytest.raises(PredictorError) as caught:
        predictor.predict(images)
    assert caught.value.permanent
    assert server.asked == []


def test_connections_are_kept(server: ModelServer, predictor: TFServingPredictor) -> None:
    for _ in range(5):
        scores(predictor)
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_no_failure(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    scores(predictor)
    server._server.drop_connections()
    assert scores(predictor) == [0]
    assert server.connections == 2


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(
    name: str, server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(PASSING[name], answer)
    assert scores(predictor, 2) == [0, 1]
    assert len(server.asked) == 2


AWAY = {"empty reply", "cut off", "queue full", "timed out", "unknown version", "no answer"}


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_given_up_in_time(
    name: str, server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(PASSING[name])
    began = time.monotonic()
    with pytest.raises(PredictorError, match="version 7 of all_smear") as caught:
        scores(predictor)
    assert time.monotonic() - began < IMPATIENT.deadline + 3
    assert not caught.value.permanent
    assert isinstance(caught.value, ModelAway) is (name in AWAY)
    assert 2 <= len(server.asked) <= IMPATIENT.attempts


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_permanent_and_not_asked_for_again(
    name: str, server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(NONSENSE[name], answer)
    with pytest.raises(PredictorError) as caught:
        scores(predictor)
    assert caught.value.permanent
    assert len(server.asked) == 1


def test_a_trickle_cannot_outlast_the_deadline(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(json_reply({"predictions": [[0] * 200]}, pause=0.1))
    began = time.monotonic()
    with pytest.raises(ModelAway, match="too long"):
        scores(predictor)
    assert time.monotonic() - began < IMPATIENT.deadline + 3


def test_an_answer_without_end_is_cut(server: ModelServer, predictor: TFServingPredictor) -> None:
    rows = json.dumps({"predictions": [{"probabilities": [MEAN] * 4, "ood_score": 1}]})
    server.script = in_turn(Reply(200, rows.encode() + b" " * 1_000_000))
    with pytest.raises(PredictorError, match="longer than any can be") as caught:
        scores(predictor)
    assert not caught.value.permanent


def test_a_server_s_error_is_quoted_but_not_at_length(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(error_reply(400, "JSON Value:\n" + "AAAA" * 10_000))
    with pytest.raises(PredictorError, match="JSON Value: AAAA") as caught:
        scores(predictor)
    assert len(str(caught.value)) < 300


def test_nobody_listens(contract: ModelContract) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1/models/all_smear"
    predictor = TFServingPredictor([url], contract, IMPATIENT)
    with pytest.raises(ModelAway, match="refused"):
        scores(predictor)
    assert predictor.is_ready()
    assert not predictor.is_available()


def test_a_server_that_comes_back_within_the_call(contract: ModelContract) -> None:
    port = free_port()
    patience = replace(IMPATIENT, attempts=50, backoff=0.01, deadline=5.0)
    url = f"http://127.0.0.1:{port}/v1/models/all_smear"
    predictor = TFServingPredictor([url], contract, patience, lambda: Circuit(1000))
    with ExitStack() as stack:
        start = threading.Timer(0.1, lambda: stack.enter_context(ModelServer(answer, port)))
        start.start()
        assert scores(predictor) == [0]
        start.join()


# --- State --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "available"), [("AVAILABLE", True), ("LOADING", False), ("END", False)]
)
def test_only_an_available_version_counts(
    server: ModelServer, predictor: TFServingPredictor, state: str, available: bool
) -> None:
    statuses = [{"version": "7", "state": state, "status": {"error_code": "OK"}}]
    server.script = in_turn(json_reply({"model_version_status": statuses}))
    assert predictor.is_available() is available
    assert server.asked[0].method == "GET"
    assert server.asked[0].path == "/v1/models/all_smear/versions/7"


def test_the_question_for_the_state_is_short(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(Reply(delay=5))
    began = time.monotonic()
    assert not predictor.is_available()
    assert time.monotonic() - began < IMPATIENT.status + 2


def test_a_proxy_of_the_environment_is_not_asked(
    server: ModelServer, predictor: TFServingPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert scores(predictor) == [0]


def test_quoting_takes_any_bytes() -> None:
    assert wire.quote(b'{"error": "a\\nb"}') == "a b"
    assert wire.quote(b"\xff<html>") == "\ufffd<html>"
    assert len(wire.quote(b"x" * 10**6)) <= wire.QUOTED_AT_MOST + 1
