"""Versions change under load: no request is lost, and a version that was live answers each."""

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pytest_django import Settings

from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.store import read_live
from diagnosis.fields.live_model import predictor_for, stable_predictor
from export.publishing import registry
from export.publishing.model_server import wait_available
from tests.contract.conftest import NAME
from tests.diagnosis.made.pictures import drawn
from tests.tfserving.model_server import ModelServer, Store
from tests.waiting import WITHIN_S, wait_until

pytestmark = pytest.mark.usefixtures("patient_client")


@pytest.fixture
def servers(store: Path, settings: Settings) -> Iterator[list[ModelServer]]:
    """Two model servers of that store, which the product is told of."""
    with ModelServer(Store(store)) as first, ModelServer(Store(store)) as second:
        settings.MODEL_STORE = store
        settings.PREDICTOR_URL = f"{first.url},{second.url}"
        yield [first, second]


class Load:
    """Asks again and again from several threads, until its context ends."""

    def __init__(self) -> None:
        self.answered: Counter[int] = Counter()
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, version: int) -> None:
        before = self.answered[version]
        wait_until(lambda: self.failures or self.answered[version] >= before + 5)
        assert self.failures == []

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                predictor = stable_predictor()
                predictor.predict(drawn(1)[np.newaxis])
                self.answered[predictor.contract.version] += 1
            except Exception as error:
                self.failures.append(error)


def test_a_swap_under_load_loses_no_request(
    store: Path, servers: list[ModelServer], settings: Settings
) -> None:
    wait = partial(wait_available, settings.PREDICTOR_URL, timeout=WITHIN_S)
    with Load() as load:
        load.wait_for(1)
        registry.promote(store, NAME, 2, wait)
        load.wait_for(2)
        registry.promote(store, NAME, 3, wait)
        load.wait_for(3)
        registry.rollback(store, NAME)
        load.wait_for(2)
    assert load.failures == []
    assert load.answered.keys() == {1, 2, 3}
    asked = {asked.path for server in servers for asked in server.asked if asked.method == "POST"}
    assert asked == {f"/v1/models/{NAME}/versions/{number}:predict" for number in (1, 2, 3)}


def test_a_version_that_no_server_loads_is_never_asked_for(
    store: Path, servers: list[ModelServer], settings: Settings
) -> None:
    """``promote`` gives up waiting, and everything is as before."""
    broken = servers[1]
    serve = broken.script
    broken.script = lambda asked: serve(
        asked if "/versions/2" not in asked.path else type(asked)("GET", "/v1/models/x", {}, b"")
    )
    with Load() as load:
        load.wait_for(1)
        with pytest.raises(Exception, match="Nothing was promoted"):
            registry.promote(
                store, NAME, 2, partial(wait_available, settings.PREDICTOR_URL, timeout=0)
            )
        load.wait_for(1)
    assert load.failures == []
    assert load.answered.keys() == {1}
    assert read_live(store, NAME).stable == 1


def test_a_canary_is_put_on_trial_and_withdrawn(
    store: Path, servers: list[ModelServer], settings: Settings
) -> None:
    settings.CANARY_SHARE = 1.0
    wait = partial(wait_available, settings.PREDICTOR_URL, timeout=WITHIN_S)

    def answering() -> ModelContract:
        predictor = predictor_for("0" * 64, attempt=1)
        predictor.predict(drawn(1)[np.newaxis])
        return predictor.contract

    assert answering().version == 1
    registry.set_canary(store, NAME, 2, wait)
    assert answering().version == 2
    assert stable_predictor().contract.version == 1
    registry.set_canary(store, NAME, None)
    assert answering().version == 1
    assert "versions: 2" not in (store.parent / "models.config").read_text()
