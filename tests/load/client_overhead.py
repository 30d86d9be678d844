"""What the TensorFlow Serving client adds to the server's own time.

``python -m tests.load.client_overhead`` runs the replay server as a process of its own, which
says in each answer how long it took over it, and asks it with the product's client. Beside it, in
turn, the usual way: ``requests`` with the image as a JSON list of floats.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import requests

from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.store import read_live, version_dir
from diagnosis.core.predictors.tf_serving import TFServingPredictor
from tests.product import ROOT, clean_environment
from tests.servers.mariadb import free_port
from tests.tfserving.model_server import Asked, ModelServer, Reply, json_reply

STORE = ROOT / "serving/models"
WARM_UP = 20


def replay(delay_ms: float) -> Callable[[Asked], Reply]:
    """Answers as a version would, after ``delay_ms``; a GET gives its own seconds of each POST."""
    row = {"probabilities": [0.25] * 4, "ood_score": 1.0}
    answer = json_reply({"predictions": [row]})
    own: list[float] = []

    def script(asked: Asked) -> Reply:
        if asked.method == "GET":
            return json_reply(own)
        began = time.perf_counter()
        time.sleep(delay_ms / 1000)
        own.append(time.perf_counter() - began)
        return answer

    return script


def measure(rounds: int, delay_ms: float) -> dict[str, float]:
    """Medians in milliseconds of ``rounds`` calls each, in turn."""
    port = free_port()
    command = [sys.executable, "-m", "tests.load.client_overhead", "--serve", str(port)]
    process = subprocess.Popen(
        [*command, "--delay-ms", str(delay_ms)], cwd=ROOT, env=clean_environment()
    )
    try:
        url = f"http://127.0.0.1:{port}/v1/models/all_smear"
        _wait_for(url)
        contract = ModelContract.load(
            version_dir(STORE, "all_smear", read_live(STORE, "all_smear").stable)
        )
        predictor = TFServingPredictor([url], contract)
        images = draw_smear(1, 224, 224)[np.newaxis]
        floats = images.astype(np.float32) / np.float32(127.5) - 1
        session = requests.Session()

        def usual() -> None:
            body = {"instances": floats.tolist()}
            answer = session.post(f"{url}/versions/1:predict", json=body, timeout=60)
            np.asarray(answer.json()["predictions"][0]["probabilities"])

        ways = {
            "client": lambda: predictor.predict(images),
            "float_list": usual,
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(WARM_UP + rounds):
            for name, ask in ways.items():
                began = time.perf_counter()
                ask()
                seconds[name].append(time.perf_counter() - began)
        own = requests.get(url, timeout=5).json()
    finally:
        process.kill()
        process.wait()
    added = {
        name: 1000 * statistics.median(np.subtract(seconds[name], own[turn :: len(ways)])[WARM_UP:])
        for turn, name in enumerate(ways)
    }
    return {
        "server_ms": round(1000 * statistics.median(own), 2),
        **{f"{name}_adds_ms": round(value, 2) for name, value in added.items()},
        "ratio": round(added["float_list"] / added["client"], 1),
        "rounds": rounds,
    }


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            requests.get(url, timeout=5)
            return
        except requests.RequestException:
            time.sleep(0.05)
    raise RuntimeError("The replay server did not start.")


def main() -> None:
    """Print the figures as JSON, or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=10.0)
    parser.add_argument("--serve", type=int, metavar="PORT")
    options = parser.parse_args()
    if options.serve:
        ModelServer(replay(options.delay_ms), options.serve).serve_forever()
    else:
        sys.stdout.write(json.dumps(measure(options.rounds, options.delay_ms), indent=1) + "\n")


if __name__ == "__main__":
    main()
