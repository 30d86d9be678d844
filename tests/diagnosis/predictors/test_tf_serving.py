"""The client against a server that misbehaves; its recorded answers are in tests/contract."""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.errors import ModelAway, PredictorError
from diagnosis.imaging.contract import ModelContract
from diagnosis.predictors import tf_serving, wire
from diagnosis.predictors.addresses import Address
from diagnosis.predictors.circuit import Circuit
from diagnosis.predictors.tf_serving import BATCH, TFServingPredictor
from tests.on_mariadb import free_port
from tests.tfserving.impatient import IMPATIENT
from tests.tfserving.model_server import Asked, ModelServer, Reply, Script, error_reply, json_reply

MEAN = 1 / 4


def numbered(count: int) -> NDArray[np.uint8]:
    """Images that can be told apart: all pixels of one are its number."""
    return np.stack([np.full((224, 224, 3), number, np.uint8) for number in range(count)])


def answer(asked: Asked) -> Reply:
    """Each image's ``ood_score`` is its first byte."""
    rows = json.loads(asked.body)["instances"]
    first = [base64.b64decode(row["image_bytes"]["b64"])[0] for row in rows]
    return json_reply(
        {"predictions": [{"probabilities": [MEAN] * 4, "ood_score": n} for n in first]}
    )


def in_turn(*replies: Reply | Script) -> Script:
    """One after the other; the last for ever."""
    left = list(replies)

    def script(asked: Asked) -> Reply:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply if isinstance(reply, Reply) else reply(asked)

    return script


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


@pytest.fixture
def predictor(server: ModelServer, contract: ModelContract) -> TFServingPredictor:
    return TFServingPredictor([server.url], contract, IMPATIENT)


def scores(predictor: TFServingPredictor, count: int = 1) -> list[float]:
    return [prediction.ood_score for prediction in predictor.predict(numbered(count))]


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


PASSING = {
    "empty reply": Reply(hang_up=True),
    "cut off": json_reply({"predictions": []}, cut_after=5),
    "queue full": error_reply(503, "The batch scheduling queue is full"),
    "timed out": error_reply(504, "Timed out waiting for notification"),
    "unknown version": error_reply(404, "Servable not found for request: Specific(all_smear, 7)"),
    "half-copied model": error_reply(400, "Could not find variable conv/kernel"),
    "a proxy's page": Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "a captive portal": Reply(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"}),
    "moved": Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
    "no answer": Reply(delay=1.5),
    "garbage": Reply(200, b"\xff\xfe{{{"),
    "JSON cut off at a proxy": Reply(200, b'{"predictions": [{"probabilities": [0.2'),
    "nested": Reply(200, b"[" * 50_000),
}


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


NONSENSE = {
    "NaN": Reply(200, b'{"predictions": [{"probabilities": [NaN, 0, 0, 1], "ood_score": 1}]}'),
    "infinite score": Reply(
        200, b'{"predictions": [{"probabilities": [0, 0, 0, 1], "ood_score": Infinity}]}'
    ),
    "five classes": json_reply({"predictions": [{"probabilities": [0.2] * 5, "ood_score": 1}]}),
    "no sum of 1": json_reply({"predictions": [{"probabilities": [0.2] * 4, "ood_score": 1}]}),
    "negative": json_reply({"predictions": [{"probabilities": [-1, 1, 1, 0], "ood_score": 1}]}),
    "two answers": json_reply(
        {"predictions": [{"probabilities": [1, 0, 0, 0], "ood_score": 1}] * 2}
    ),
    "no answers": json_reply({"predictions": []}),
    "no score": json_reply({"predictions": [{"probabilities": [1, 0, 0, 0]}]}),
    "a list as score": json_reply(
        {"predictions": [{"probabilities": [1, 0, 0, 0], "ood_score": [1]}]}
    ),
    "one output": json_reply({"predictions": [[1, 0, 0, 0]]}),
    "columns": json_reply({"outputs": {"probabilities": [[1, 0, 0, 0]], "ood_score": [1]}}),
    "text": json_reply({"predictions": [{"probabilities": "abcd", "ood_score": 1}]}),
    "a list": json_reply([1]),
    "null": json_reply(None),
}


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


# --- Several servers, circuits ------------------------------------------------------------


@pytest.fixture
def servers() -> Iterator[list[ModelServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ModelServer(answer)) for _ in range(3)]


def several(servers: list[ModelServer], contract: ModelContract, **how: Any) -> TFServingPredictor:
    return TFServingPredictor([server.url for server in servers], contract, IMPATIENT, **how)


def test_servers_share_the_load(servers: list[ModelServer], contract: ModelContract) -> None:
    predictor = several(servers, contract)
    for _ in range(60):
        scores(predictor)
    counts = [len(server.asked) for server in servers]
    assert sum(counts) == 60
    assert min(counts) >= 5, counts  # of 20; a fair choice falls below once in 300,000


def test_a_busy_server_is_passed_over(servers: list[ModelServer], contract: ModelContract) -> None:
    slow, quick, _ = servers
    release = threading.Event()

    def hold(asked: Asked) -> Reply:
        release.wait(10)
        return answer(asked)

    slow.script = hold
    predictor = TFServingPredictor(
        [slow.url, quick.url], contract, replace(IMPATIENT, read=20.0, deadline=20.0)
    )

    def occupy() -> None:
        while not slow.asked:
            scores(predictor)

    occupier = threading.Thread(target=occupy)
    occupier.start()
    while not slow.asked:
        time.sleep(0.01)
    before = len(quick.asked)
    for _ in range(10):
        scores(predictor)
    release.set()
    occupier.join()
    assert (len(slow.asked), len(quick.asked) - before) == (1, 10)


@pytest.mark.parametrize("name", [*PASSING, *NONSENSE])
def test_a_failing_server_is_passed_over_without_a_pause(
    name: str, servers: list[ModelServer], contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, *_ = servers
    failing.script = in_turn((PASSING | NONSENSE)[name])
    monkeypatch.setattr(tf_serving.random, "uniform", lambda *_: pytest.fail("it paused"))
    predictor = several(servers, contract)
    for _ in range(12 if name != "no answer" else 4):
        assert scores(predictor) == [0]


def test_a_server_that_keeps_failing_is_left_alone_and_tried_again(
    servers: list[ModelServer], contract: ModelContract
) -> None:
    failing, *_ = servers
    failing.script = in_turn(error_reply(503, "full"))
    predictor = several(servers, contract, new_circuit=lambda: Circuit(3, rest_s=0.3))
    for _ in range(60):
        assert scores(predictor) == [0]
    assert len(failing.asked) <= 5
    assert sorted(predictor.circuit_states().values()) == ["closed", "closed", "open"]
    assert predictor.circuit_states()[failing.url] == "open"
    failing.script = answer
    time.sleep(0.3)
    before = len(failing.asked)
    for _ in range(60):
        scores(predictor)
    assert len(failing.asked) > before + 5
    assert set(predictor.circuit_states().values()) == {"closed"}


def test_with_every_circuit_open_nothing_is_sent(
    server: ModelServer, contract: ModelContract
) -> None:
    server.script = in_turn(error_reply(503, "full"))
    predictor = several([server], contract, new_circuit=lambda: Circuit(3, rest_s=60))
    with pytest.raises(ModelAway):
        scores(predictor)
    assert not predictor.is_ready()
    asked = len(server.asked)
    began = time.monotonic()
    with pytest.raises(ModelAway, match="left alone"):
        scores(predictor)
    assert time.monotonic() - began < 0.1
    assert len(server.asked) == asked


def test_threads_do_not_wait_for_one_another(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    together = threading.Barrier(8, timeout=5)

    def meet(asked: Asked) -> Reply:
        together.wait()  # broken, if one request had to end before the next is sent
        return answer(asked)

    server.script = meet
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(scores(predictor, 2))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[0, 1]] * 8


# --- Names --------------------------------------------------------------------------------


class Names:
    """What names resolve to, as a test says."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    def resolve(self, url: str) -> list[Address]:
        if not self.urls:
            raise socket.gaierror(-2, "Name or service not known")
        return [Address(found, "tfserving:8501") for found in self.urls]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(tf_serving, "resolve", names.resolve)
    return names


@pytest.fixture
def scaled(contract: ModelContract) -> Callable[[], TFServingPredictor]:
    url = "http://tfserving:8501/v1/models/all_smear"
    return lambda: TFServingPredictor([url], contract, replace(IMPATIENT, resolve=0.0))


def test_servers_that_are_added_and_taken_away_are_noticed(
    names: Names, servers: list[ModelServer], scaled: Callable[[], TFServingPredictor]
) -> None:
    first, second, third = servers
    names.urls = [first.url, second.url]
    predictor = scaled()
    for _ in range(30):
        scores(predictor)
    assert first.asked
    assert second.asked
    assert first.asked[0].headers["Host"] == "tfserving:8501"
    names.urls = [second.url, third.url]
    counts = len(first.asked), len(second.asked)
    for _ in range(30):
        scores(predictor)
    assert len(first.asked) == counts[0]
    assert third.asked
    assert len(second.asked) > counts[1], "what it did before the other came does not count"
    assert predictor.circuit_states().keys() == {second.url, third.url}


def test_a_name_that_is_lost_for_a_while_keeps_its_servers(
    names: Names, server: ModelServer, scaled: Callable[[], TFServingPredictor]
) -> None:
    names.urls = [server.url]
    predictor = scaled()
    scores(predictor)
    names.urls = []
    assert scores(predictor) == [0]


def test_a_name_nobody_knows(names: Names, scaled: Callable[[], TFServingPredictor]) -> None:
    predictor = scaled()
    with pytest.raises(ModelAway, match=r"tfserving.*not known"):
        scores(predictor)
    assert not predictor.is_ready()
    assert not predictor.is_available()


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
