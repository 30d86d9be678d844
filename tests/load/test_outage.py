"""The small run of ``tests.load.outage``; the full one is in ``make test-long``."""

import json
from collections import Counter
from typing import Any

import pytest
import requests

from diagnosis.core import pipeline
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.predictors.store import read_live, version_dir
from tests.load import outage
from tests.tfserving.agreement import SERVED_TOLERANCE
from tests.tfserving.model_server import ModelServer, json_reply
from tests.waiting import WITHIN_S, wait_until

pytestmark = pytest.mark.xdist_group("outage")


def test_a_model_server_that_is_killed_costs_no_diagnosis() -> None:
    figures = outage.run(uploads=30, kills=2, seed=3)
    assert outage.sound(figures), json.dumps(figures, indent=1)
    assert figures["answers"].get("202", 0) > 0, "no upload met the outage"
    assert figures["answers"].get("201", 0) > 0


def test_a_real_model_server_is_killed_by_the_relay_before_it() -> None:
    with ModelServer(lambda asked: json_reply({"path": asked.path})) as real:
        model = outage.ModelProcess(real.url)
        try:
            wait_until(lambda: answers(model.url))
            assert requests.get(f"{model.url}/versions/2", timeout=WITHIN_S).json() == {
                "path": "/v1/models/all_smear/versions/2"
            }
            model.kill()
            assert not answers(model.url)
            assert answers(real.url)
            model.start()
            wait_until(lambda: answers(model.url))
        finally:
            model.kill()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=WITHIN_S).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def records() -> dict[str, Any]:
    """What a faultless site would hold after eight uploads."""
    version = read_live(outage.STORE, "all_smear").stable
    predictor = EmbeddedPredictor(version_dir(outage.STORE, "all_smear", version))
    rows = []
    for number in range(8):
        outcome = pipeline.screen(outage.upload(number), predictor.contract, predictor)
        assert outcome.prediction is not None
        row = {
            "id": number + 1,
            "file_name": f"{number}.jpg",
            "status": "screened",
            "outcome": outcome.headline.value,
            "predicted_class": outcome.predicted_class,
            "probabilities": dict(
                zip(predictor.contract.labels, outcome.prediction.probabilities, strict=True)
            ),
            "attempts": 1,
        }
        rows.append(row)
    return {"rows": rows, "results": {str(row["id"]): 1 for row in rows}}


def figures(records: dict[str, Any], refused: int = 0) -> dict[str, Any]:
    answers = Counter({201: 8 - refused, 503: refused})
    return outage._figures(8, answers, json.loads(json.dumps(records)))


def test_its_count_sees_a_faultless_site_as_sound(records: dict[str, Any]) -> None:
    assert outage.sound(figures(records))


def differ(found: dict[str, Any], by: float) -> None:
    """As another runtime may answer."""
    found["rows"][1]["probabilities"]["Benign"] += by


def test_its_count_allows_what_a_real_server_was_seen_to_differ_by(records: dict[str, Any]) -> None:
    served = json.loads(json.dumps(records))
    differ(served, 1.44e-4)
    assert outage.sound(figures(served))
    manual = (outage.ROOT / "docs/operations.md").read_text()
    assert f"to {SERVED_TOLERANCE:.0e}".replace("e-0", "e-") in manual


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("lost", lambda found: found["rows"].pop()),
        ("lost", lambda found: found["rows"][2].update(status="received")),
        ("doubled", lambda found: found["rows"].append({**found["rows"][0], "id": 9})),
        ("doubled", lambda found: found["results"].update({"3": 2})),
        ("without_event", lambda found: found["results"].pop("3")),
        ("wrong", lambda found: found["rows"][1].update(outcome="rejected")),
        ("wrong", lambda found: found["rows"][1]["probabilities"].update(Benign=0.5)),
        ("wrong", lambda found: differ(found, 1.1 * SERVED_TOLERANCE)),
        ("wrong", lambda found: found["rows"][1].update(predicted_class="another")),
    ],
)
def test_its_count_sees(records: dict[str, Any], fault: str, change: Any) -> None:
    damaged = json.loads(json.dumps(records))
    change(damaged)
    found = figures(damaged)
    assert found[fault] == 1
    assert not outage.sound(found)


def test_its_count_sees_a_refused_upload(records: dict[str, Any]) -> None:
    assert not outage.sound(figures(records, refused=1))
