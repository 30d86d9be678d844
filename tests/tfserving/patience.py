"""How long the client waits in tests: for minutes, except where a test drives the clock."""

from dataclasses import replace
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from diagnosis.core.predictors import tf_serving
from diagnosis.core.predictors.tf_serving import Patience, TFServingPredictor
from tests.tfserving.model_server import ModelServer
from tests.waiting import WITHIN_S

PATIENT = Patience(
    turn=WITHIN_S,
    connect=WITHIN_S,
    read=WITHIN_S,
    deadline=WITHIN_S,
    attempts=3,
    backoff=0.001,
    resolve=WITHIN_S,
    status=WITHIN_S,
)


class Clock:
    """The client's clock, and a circuit's: it stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    monotonic = __call__

    def sleep(self, seconds: float) -> None:
        """What a pause of the client is: noted, and over at once."""
        self.slept.append(seconds)
        self.now += seconds

    @classmethod
    def of_the_client(cls, monkeypatch: pytest.MonkeyPatch) -> "Clock":
        """A clock that the client reads from now on."""
        clock = cls()
        monkeypatch.setattr(tf_serving, "time", clock)
        return clock


class OutOfPatience(HTTPAdapter):
    """Soon gives up a server that never answers, and no other: nobody has to be quick.

    Attributes:
        granted: the waiting times that the client allowed, for the connection and for bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.granted: list[tuple[float, float]] = []

    def send(self, *arguments: Any, **how: Any) -> requests.Response:
        """Send with the client's own time for the connection, and next to none for the answer."""
        self.granted.append(how["timeout"])
        how["timeout"] = (how["timeout"][0], 0.05)
        return super().send(*arguments, **how)


class OnTheClock(HTTPAdapter):
    """Times out by a test's clock: what came later than the client would have waited never came."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def send(self, *arguments: Any, **how: Any) -> requests.Response:
        """Send, and wait for minutes of the machine's time."""
        sent, (_, granted) = self._clock.now, how["timeout"]
        how["timeout"] = (WITHIN_S, WITHIN_S)
        response = super().send(*arguments, **how)
        if self._clock.now - sent > granted:
            response.close()
            raise requests.ReadTimeout(f"Read timed out. (read timeout={granted})")
        return response


def gives_up(predictor: TFServingPredictor, server: ModelServer) -> OutOfPatience:
    """Let ``predictor`` wait for nothing from ``server``, which says nothing."""
    adapter = OutOfPatience()
    predictor._session.mount(server.url, adapter)
    return adapter


def patient(**changes: Any) -> Patience:
    """``PATIENT`` but for ``changes``."""
    return replace(PATIENT, **changes)
