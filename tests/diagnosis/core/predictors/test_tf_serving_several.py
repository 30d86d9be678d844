"""The client with several model servers: sharing, failing over, leaving alone, names."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from diagnosis.core.errors import ModelAwayError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors import tf_serving
from diagnosis.core.predictors.addresses import Address
from diagnosis.core.predictors.circuit import Circuit
from diagnosis.core.predictors.tf_serving import CALLS_AT_ONCE, TFServingPredictor
from tests.tfserving.misbehaviour import NONSENSE, PASSING, answer, in_turn, scores
from tests.tfserving.model_server import Asked, ModelServer, Reply, error_reply
from tests.tfserving.patience import PATIENT, Clock, gives_up, patient
from tests.waiting import WITHIN_S, wait_until


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


@pytest.fixture
def predictor(server: ModelServer, contract: ModelContract) -> TFServingPredictor:
    return TFServingPredictor([server.url], contract, PATIENT)


# --- Several servers, circuits ------------------------------------------------------------


@pytest.fixture
def servers() -> Iterator[list[ModelServer]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ModelServer(answer)) for _ in range(3)]


def several(servers: list[ModelServer], contract: ModelContract, **how: Any) -> TFServingPredictor:
    return TFServingPredictor([server.url for server in servers], contract, PATIENT, **how)


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
        release.wait(WITHIN_S)
        return answer(asked)

    slow.script = hold
    predictor = several([slow, quick], contract)

    def occupy() -> None:
        while not slow.asked:
            scores(predictor)

    occupier = threading.Thread(target=occupy)
    occupier.start()
    wait_until(lambda: slow.asked)
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
    if name == "no answer":
        gives_up(predictor, failing)
    for _ in range(12):
        assert scores(predictor) == [0]


def test_a_server_that_keeps_failing_is_left_alone_and_tried_again(
    servers: list[ModelServer], contract: ModelContract
) -> None:
    failing, *_ = servers
    failing.script = in_turn(error_reply(503, "full"))
    clock = Clock()
    predictor = several(servers, contract, new_circuit=lambda: Circuit(3, rest_s=2.0, clock=clock))
    for _ in range(60):
        assert scores(predictor) == [0]
    assert len(failing.asked) == 3
    assert sorted(predictor.circuit_states().values()) == ["closed", "closed", "open"]
    assert predictor.circuit_states()[failing.url] == "open"
    failing.script = answer
    clock.now += 2.0
    for _ in range(60):
        scores(predictor)
    assert len(failing.asked) > 3 + 5
    assert set(predictor.circuit_states().values()) == {"closed"}


def test_with_every_circuit_open_nothing_is_sent_or_waited_for(
    server: ModelServer, contract: ModelContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.script = in_turn(error_reply(503, "full"))
    clock = Clock.of_the_client(monkeypatch)
    circuit = partial(Circuit, 3, rest_s=60, clock=clock)
    predictor = several([server], contract, new_circuit=circuit)
    with pytest.raises(ModelAwayError):
        scores(predictor)
    assert not predictor.is_ready()
    asked = len(server.asked)
    clock.slept.clear()
    with pytest.raises(ModelAwayError, match="left alone"):
        scores(predictor)
    assert clock.slept == []
    assert len(server.asked) == asked


def test_threads_do_not_wait_for_one_another(
    server: ModelServer, predictor: TFServingPredictor
) -> None:
    together = threading.Barrier(CALLS_AT_ONCE, timeout=WITHIN_S)

    def meet(asked: Asked) -> Reply:
        together.wait()  # broken, if one request had to end before the next is sent
        return answer(asked)

    server.script = meet
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(scores(predictor, 2)))
        for _ in range(CALLS_AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[0, 1]] * CALLS_AT_ONCE


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
    return lambda: TFServingPredictor([url], contract, patient(resolve=0.0))


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
    with pytest.raises(ModelAwayError, match=r"tfserving.*not known"):
        scores(predictor)
    assert not predictor.is_ready()
    assert not predictor.is_available()
