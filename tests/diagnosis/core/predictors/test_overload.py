"""More calls at once than a server answers in time: it is busy, which is not away.

The server is as slow as a real one on two cores that others use too: 20 ms an image, and whoever
comes later waits. A call of one image costs here what one of ``BATCH`` costs there. The server's
work moves the client's clock, so that nobody has to wait for it, and goes on only when the client
has taken in what was answered before.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from diagnosis.core.errors import ModelAwayError, ModelBusyError, PredictorError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.circuit import Circuit
from diagnosis.core.predictors.tf_serving import BATCH, CALLS_AT_ONCE, Patience, TFServingPredictor
from tests.tfserving.misbehaviour import PASSING, answer, numbered, scores
from tests.tfserving.model_server import Asked, ModelServer, Reply
from tests.tfserving.patience import PATIENT, Clock, OnTheClock, gives_up, patient
from tests.waiting import WITHIN_S, wait_until

CALLS = 32
A_CALL_S = BATCH * 0.020
IN_TIME = int(Patience().read / A_CALL_S)  # calls that a server answers while one waits for it


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock.of_the_client(monkeypatch)


class SlowServer(ModelServer):
    """Takes calls in until ``begin``, then works on one at a time; each costs ``A_CALL_S``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(self._work, threads=1)
        self.begin = threading.Event()
        self.answered = 0
        self.most_inside = 0
        self.under_way: Callable[[], int] = lambda: self.inside  # calls, as the client has it
        self._clock = clock

    @property
    def inside(self) -> int:
        """Calls that came and were not answered yet."""
        return len(self.asked) - self.answered

    def _work(self, asked: Asked) -> Reply:
        self.begin.wait(WITHIN_S)
        wait_until(lambda: self.under_way() == self.inside)
        self.most_inside = max(self.most_inside, self.inside)
        self._clock.now += A_CALL_S
        self.answered += 1
        return answer(asked)


@pytest.fixture
def slow(clock: Clock) -> Iterator[SlowServer]:
    with SlowServer(clock) as server:
        yield server


def overloaded(
    server: SlowServer, clock: Clock, contract: ModelContract, calls_at_once: int
) -> tuple[TFServingPredictor, list[str]]:
    """The client, and what became of each of ``CALLS`` calls at once."""
    usual = Patience()
    patience = patient(read=usual.read, deadline=usual.deadline, attempts=usual.attempts)
    predictor = TFServingPredictor(
        [server.url], contract, patience, lambda: Circuit(clock=clock), calls_at_once
    )
    predictor._session.mount(server.url, OnTheClock(clock))
    server.under_way = lambda: sum(one.in_flight for one in predictor._servers.values())
    together = threading.Barrier(CALLS, timeout=WITHIN_S)

    def call(_: int) -> str:
        together.wait()
        try:
            return "answered" if scores(predictor) == [0] else "wrong"
        except PredictorError as error:
            return type(error).__name__

    with ThreadPoolExecutor(CALLS) as pool:
        ends = pool.map(call, range(CALLS))
        wait_until(lambda: len(server.asked) >= calls_at_once)
        server.begin.set()
        return predictor, list(ends)


def test_calls_that_wait_here_are_all_answered(
    slow: SlowServer, clock: Clock, contract: ModelContract
) -> None:
    """The last is sent when more time has passed than any call may take once it is sent."""
    predictor, ends = overloaded(slow, clock, contract, CALLS_AT_ONCE)
    assert ends == ["answered"] * CALLS
    assert slow.most_inside <= CALLS_AT_ONCE
    assert clock.now - 1000 > Patience().deadline
    assert set(predictor.circuit_states().values()) == {"closed"}
    assert len(slow.asked) == CALLS, "none was sent twice"


def test_a_call_that_the_server_did_not_come_to_is_no_failure_of_the_server(
    slow: SlowServer, clock: Clock, contract: ModelContract
) -> None:
    """As if the calls came from so many processes that bounding each helps little."""
    predictor, ends = overloaded(slow, clock, contract, CALLS)
    assert sorted(ends) == ["ModelBusyError"] * (CALLS - IN_TIME) + ["answered"] * IN_TIME
    assert set(predictor.circuit_states().values()) == {"closed"}
    assert len(slow.asked) == CALLS, "what waits there still is not sent again"


def test_a_turn_is_not_waited_for_for_ever_and_is_given_back(contract: ModelContract) -> None:
    release = threading.Event()

    def hold_the_first(asked: Asked) -> Reply:
        if len(server.asked) == 1:
            release.wait(WITHIN_S)
        return answer(asked)

    with (
        ModelServer(hold_the_first) as server,
        ThreadPoolExecutor(1) as pool,
        ExitStack() as ending,
    ):
        ending.callback(release.set)
        predictor = TFServingPredictor([server.url], contract, patient(turn=0.0), calls_at_once=1)
        first = pool.submit(scores, predictor)
        wait_until(lambda: server.asked)
        with pytest.raises(ModelBusyError, match="calls of this process"):
            scores(predictor)
        with pytest.raises(ModelBusyError, match="calls of this process"):
            predictor.explain(numbered(1)[0])
        release.set()
        assert first.result() == [0]
        assert len(server.asked) == 1
    for _ in range(2):  # one that fails gives its turn back as well
        with pytest.raises(ModelAwayError):
            scores(predictor)


def test_a_server_that_answered_and_then_hangs_is_left_alone(contract: ModelContract) -> None:
    """What it answered before a call was sent explains nothing of that call."""
    with ModelServer(answer) as server:
        predictor = TFServingPredictor(
            [server.url], contract, patient(attempts=1), lambda: Circuit(5, rest_s=WITHIN_S)
        )
        scores(predictor)
        server.script = lambda asked: Reply(silent=True)
        gives_up(predictor, server)
        for _ in range(5):
            assert predictor.is_ready()
            with pytest.raises(ModelAwayError, match="timed out"):
                scores(predictor)
        assert not predictor.is_ready()


def test_a_full_queue_neither_opens_a_circuit_nor_closes_one(contract: ModelContract) -> None:
    """It says that the server is busy; a model that hangs fills its queue as well."""
    clock = Clock()
    with ModelServer(lambda asked: PASSING["queue full"]) as server:
        predictor = TFServingPredictor(
            [server.url], contract, PATIENT, lambda: Circuit(2, rest_s=10.0, clock=clock)
        )
        for _ in range(3):
            with pytest.raises(ModelBusyError, match="queue"):
                scores(predictor)
        assert predictor.circuit_states()[server.url] == "closed"
        server.script = lambda asked: PASSING["unavailable"]
        with pytest.raises(ModelAwayError):
            scores(predictor)
        assert predictor.circuit_states()[server.url] == "open"
        clock.now += 10.0
        server.script = lambda asked: PASSING["queue full"]
        with pytest.raises(ModelBusyError):
            scores(predictor)
        assert predictor.circuit_states()[server.url] == "open"


def test_one_busy_server_among_dead_ones_is_busy(contract: ModelContract) -> None:
    with (
        ModelServer(lambda asked: PASSING["queue full"]) as busy,
        ModelServer(lambda asked: PASSING["empty reply"]) as dead,
    ):
        predictor = TFServingPredictor([busy.url, dead.url], contract, PATIENT)
        with pytest.raises(ModelBusyError):
            scores(predictor)
