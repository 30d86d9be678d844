"""The client against a server that misbehaves; its recorded answers are in tests/contract."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray

from diagnosis.core.errors import ModelAwayError, ModelBusyError, PredictorError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors import tf_serving, wire
from diagnosis.core.predictors.circuit import Circuit
from diagnosis.core.predictors.tf_serving import BATCH, TFServingPredictor
from tests.servers.mariadb import free_port
from tests.tfserving.misbehaviour import MEAN, NONSENSE, PASSING, answer, in_turn, numbered, scores
from tests.tfserving.model_server import Asked, ModelServer, Reply, error_reply, json_reply
from tests.tfserving.patience import PATIENT, Clock, gives_up, patient
from tests.waiting import WITHIN_S, wait_until


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


@pytest.fixture
def predictor(server: ModelServer, contract: ModelContract) -> TFServingPredictor:
    return TFServingPredictor([server.url], contract, PATIENT)


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
    if name == "no answer":
        first = gives_up(predictor, server)
        server.script = lambda asked: PASSING[name] if len(first.granted) == 1 else answer(asked)
    assert scores(predictor, 2) == [0, 1]
    assert len(server.asked) == 2


AWAY = {"empty reply", "cut off", "unavailable", "timed out", "unknown version", "no answer"}
BUSY = {"queue full"}


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_given_up(
    name: str, server: ModelServer, predictor: TFServingPredictor
) -> None:
    server.script = in_turn(PASSING[name])
    if name == "no answer":
        gives_up(predictor, server)
    with pytest.raises(PredictorError, match="version 7 of all_smear, 3 attempts") as caught:
        scores(predictor)
    assert not caught.value.permanent
    assert isinstance(caught.value, ModelAwayError) is (name in AWAY)
    assert isinstance(caught.value, ModelBusyError) is (name in BUSY)
    wait_until(lambda: len(server.asked) >= PATIENT.attempts)
    assert len(server.asked) == PATIENT.attempts


def test_attempts_end_with_the_deadline(
    server: ModelServer, contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs four seconds of the twenty that a call has; after the fifth none is left."""
    clock = Clock.of_the_client(monkeypatch)

    def slowly(asked: Asked) -> Reply:
        clock.now += 4
        return error_reply(503, "full")

    server.script = slowly
    patience = patient(attempts=50, deadline=20.0, backoff=0.0)
    predictor = TFServingPredictor([server.url], contract, patience, lambda: Circuit(1000))
    with pytest.raises(ModelAwayError, match="5 attempts"):
        scores(predictor)
    assert len(server.asked) == 5


def test_no_pause_outlasts_the_deadline(
    server: ModelServer, contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses of one, two, four, … seconds: the fifth would not end in time."""
    clock = Clock.of_the_client(monkeypatch)
    monkeypatch.setattr(tf_serving.random, "uniform", lambda least, most: most)
    server.script = in_turn(error_reply(503, "full"))
    patience = patient(attempts=50, deadline=20.0, backoff=0.5)
    predictor = TFServingPredictor([server.url], contract, patience, lambda: Circuit(1000))
    with pytest.raises(ModelAwayError):
        scores(predictor)
    assert clock.slept == [1.0, 2.0, 4.0, 8.0]


def test_nothing_is_waited_for_longer_than_the_deadline_allows(
    server: ModelServer, contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock.of_the_client(monkeypatch)

    def slowly(asked: Asked) -> Reply:
        clock.now += 15
        return error_reply(503, "full")

    server.script = slowly
    patience = patient(connect=7.0, read=10.0, deadline=20.0, backoff=0.0)
    predictor = TFServingPredictor([server.url], contract, patience)
    allowed: list[Any] = []
    send = predictor._session.send

    def sending(prepared: Any, **how: Any) -> requests.Response:
        allowed.append(how["timeout"])
        return send(prepared, **how | {"timeout": WITHIN_S})

    monkeypatch.setattr(predictor._session, "send", sending)
    with pytest.raises(ModelAwayError):
        scores(predictor)
    assert allowed == [(7.0, 10.0), (5.0, 5.0)], "connection and next bytes"


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
    server: ModelServer, predictor: TFServingPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It brings a byte in time for each read, and never an end within the deadline."""
    clock = Clock.of_the_client(monkeypatch)

    def later() -> None:
        clock.now += PATIENT.deadline / 100

    server.script = in_turn(json_reply({"predictions": [[0] * 200]}, between=later))
    with pytest.raises(ModelAwayError, match="too long"):
        scores(predictor)
    assert len(server.asked) == 1


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
    predictor = TFServingPredictor([url], contract, PATIENT)
    with pytest.raises(ModelAwayError, match="refused"):
        scores(predictor)
    assert predictor.is_ready()
    assert not predictor.is_available()


def test_a_server_that_comes_back_within_the_call(
    contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the client's third pause."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/models/all_smear"
    patience = patient(attempts=50, backoff=0.0)
    predictor = TFServingPredictor([url], contract, patience, lambda: Circuit(1000))
    clock = Clock.of_the_client(monkeypatch)
    pause = clock.sleep
    with ExitStack() as stack:

        def starts(seconds: float) -> None:
            pause(seconds)
            if len(clock.slept) == 3:
                stack.enter_context(ModelServer(answer, port))

        monkeypatch.setattr(clock, "sleep", starts)
        assert scores(predictor) == [0]
    assert len(clock.slept) == 3


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
    server: ModelServer, contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One second altogether, whatever a prediction may take."""
    Clock.of_the_client(monkeypatch)
    server.script = in_turn(Reply(silent=True))
    predictor = TFServingPredictor([server.url], contract, patient(status=1.0))
    asked = gives_up(predictor, server)
    assert not predictor.is_available()
    assert asked.granted == [(1.0, 1.0)]


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
