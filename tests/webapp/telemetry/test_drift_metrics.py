"""How the drift of the inputs is told to Prometheus."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from django.test import Client

from diagnosis.core.drift import Drift, Limits, Reference
from diagnosis.operations import health
from diagnosis.statistics.inputs import Inputs
from tests.waiting import WITHIN_S
from tests.webapp.telemetry.scraping import scrape

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drifted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All fields have drifted in focus, there are too few accepted ones; who was asked for."""
    asked: list[str] = []
    uniform = np.linspace(0, 1, 200)

    def inputs(population: str) -> Inputs:
        asked.append(population)
        reference = Reference("c" * 64, 1, 1, {}, {}, {})
        found = [
            Drift("focus", 0.5, Limits(0.2, 0.4), uniform, uniform),
            Drift("structure", 0.3, Limits(0.2, 0.4), uniform, uniform),
            Drift("ood_score", None, Limits(0.2, 0.4), uniform, uniform),
        ]
        return Inputs(3, reference, 200 if population == "decoded" else 99, 20, found)

    monkeypatch.setattr("diagnosis.operations.health.inputs", inputs)
    monkeypatch.setattr("diagnosis.operations.health._drift_asked", None)
    return asked


def test_drift_is_told_by_statistic(client: Client, drifted: list[str]) -> None:
    found = scrape(client)
    mine = {key: value for key, value in found.items() if key[0].startswith("leukemia_input")}
    assert mine == {
        ("leukemia_input_drift", "decoded", "focus", "3"): 0.5,
        ("leukemia_input_drift", "decoded", "structure", "3"): 0.3,
        ("leukemia_input_drift_level", "decoded", "focus", "3"): 2,
        ("leukemia_input_drift_level", "decoded", "structure", "3"): 1,
    }


def test_drift_is_computed_once_a_minute(
    client: Client, drifted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        scrape(client)
    assert drifted == ["decoded", "accepted"]
    monkeypatch.setattr("diagnosis.operations.health.DRIFT_HOLDS_S", 0.0)
    scrape(client)
    assert len(drifted) == 4


def test_no_scrape_waits_for_drift_and_no_probe_stands_behind_it(
    client: Client, drifted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    back, given_up = threading.Event(), list[float]()
    submit = health._statistician.submit

    def gives_up(timeout: float) -> None:
        """At the end of the time that a scrape has, which comes when the test says so: now."""
        given_up.append(timeout)
        raise TimeoutError

    def hanging(work: Callable[[], Any]) -> "Future[Any]":
        future = submit(work)
        monkeypatch.setattr(future, "result", gives_up)
        return future

    monkeypatch.setattr(health, "inputs", lambda population: back.wait(WITHIN_S) and None)
    monkeypatch.setattr(health._statistician, "submit", hanging)
    found = scrape(client)
    assert not any(name.startswith("leukemia_input") for name, *_ in found)
    assert given_up == [health.ANSWER_WITHIN_S]
    assert found["leukemia_database_up",] == 1
    assert client.get("/readyz").json()["database"] == "ok"
    back.set()
