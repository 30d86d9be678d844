"""Kills the model server again and again while fields come in, and counts what became of them.

``python -m tests.load.outage --uploads 2000 --kills 10`` starts the whole product with a model
server beside it, sends every field through the API, and compares each record with what the
embedded model says of the same image. It prints the figures, and exits 1 if a diagnosis was lost,
doubled or wrong, or if an upload was refused. With TFSERVING_URL, one model URL of a real
TensorFlow Serving of ``serving/models``, that server answers, behind a relay that is killed in its
place.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.product import KEY, ROOT, Product, clean_environment, prepared_product
from tests.servers.mariadb import free_port, mariadb
from tests.tfserving.agreement import same_probabilities
from tests.waiting import WITHIN_S

STORE = ROOT / "serving/models"
CLIENTS = 4
DRAWINGS = 16  # different images; what follows an image's end makes the uploads different

# Run in the product's folder with its settings: everything that its records say as soon as none of
# them waits for a result, or after the seconds that are given.
RECORDS = """
import json, sys, time, django
django.setup()
from collections import Counter
from diagnosis.models import Diagnosis
from webapp.audit.models import AuditEvent
deadline = time.monotonic() + float(sys.argv[1])
while Diagnosis.objects.filter(status="received").exists() and time.monotonic() < deadline:
    time.sleep(0.2)
events = AuditEvent.objects.filter(action__in=["diagnosis.screened", "diagnosis.refused"])
print(json.dumps({
    "rows": list(Diagnosis.objects.values(
        "id", "file_name", "status", "outcome", "predicted_class", "probabilities", "attempts")),
    "results": Counter(events.values_list("target_id", flat=True)),
}))
"""


class ModelProcess:
    """The model server as a process that can be killed: ours, or a relay to ``real``."""

    def __init__(self, real: str = "") -> None:
        """``real`` is the model URL of a TensorFlow Serving of ``serving/models``."""
        self._real = urlsplit(real).netloc
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1/models/all_smear"
        self.start()

    def start(self) -> None:
        module, *options = (
            ["tests.tfserving.relay", "--to", self._real]
            if self._real
            else ["tests.tfserving.model_server", "--store", str(STORE), "--delay", "0.005"]
        )
        command = [sys.executable, "-m", module, "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=clean_environment(), stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """What a power cut does; a request in flight gets no answer."""
        self.process.kill()
        self.process.wait()


def upload(number: int) -> bytes:
    """Upload ``number``."""
    from tests.diagnosis.made.pictures import smear_jpeg

    return smear_jpeg(number % DRAWINGS) + f"upload {number}".encode()


def run(uploads: int, kills: int, seed: int, database_url: str = "") -> dict[str, Any]:
    """The figures of one run.

    Args:
        kills: of the model server, evenly spread over the uploads.
        seed: of how long it stays away each time, 0.3 to 2 seconds at least.
        database_url: of an empty database; SQLite in a temporary folder by default.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outage-")))
        root = prepared_product(folder)
        model = ModelProcess(os.environ.get("TFSERVING_URL", ""))
        stack.callback(model.kill)
        environment = {"PREDICTOR_URL": model.url}
        environment |= {"DATABASE_URL": database_url} if database_url else {}
        product = stack.enter_context(Product(root, environment))
        product.wait_until_ready()
        began = time.monotonic()
        answers = _send_all(product, root, environment, model, uploads, kills, random.Random(seed))
        sent = time.monotonic()
        records = _wait_for_results(root, environment)
        finished = time.monotonic()
    return _figures(uploads, answers, records) | {
        "kills": kills,
        "seed": seed,
        "seconds_sending": round(sent - began, 1),
        "seconds_until_the_last_result": round(finished - sent, 1),
    }


def _send_all(
    product: Product,
    root: Path,
    environment: dict[str, str],
    model: ModelProcess,
    uploads: int,
    kills: int,
    rng: random.Random,
) -> Counter[int]:
    """Send every field once; how many answers there were of each status."""
    token = _manage(root, environment, "api_token", "demo").splitlines()[-1]
    done = Counter[int]()
    session = requests.Session()
    session.headers["Authorization"] = f"Token {token}"
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=CLIENTS))

    def send(number: int) -> None:
        answer = session.post(
            f"{product.url}/api/diagnose",
            files={"image": (f"{number}.jpg", upload(number))},
            timeout=WITHIN_S,
        )
        done[answer.status_code] += 1

    def kill_now_and_then() -> None:
        for nth in range(1, kills + 1):
            while done.total() < uploads * nth / (kills + 1):
                time.sleep(0.005)
            met = done[202]
            model.kill()
            time.sleep(rng.uniform(0.3, 2.0))
            while done[202] == met and done.total() < uploads:  # until one upload has met it
                time.sleep(0.005)
            model.start()

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, range(uploads)))
    killer.join()
    return done


def _wait_for_results(root: Path, environment: dict[str, str]) -> dict[str, Any]:
    records: dict[str, Any] = json.loads(_python(root, environment, "-c", RECORDS, str(WITHIN_S)))
    return records


@cache
def _expected() -> tuple[Any, ...]:
    """What the embedded model says of each drawing."""
    from diagnosis.core import pipeline
    from diagnosis.core.predictors.embedded import EmbeddedPredictor
    from diagnosis.core.predictors.store import read_live, version_dir

    version = read_live(STORE, "all_smear").stable
    predictor = EmbeddedPredictor(version_dir(STORE, "all_smear", version))
    return tuple(
        pipeline.screen(upload(number), predictor.contract, predictor) for number in range(DRAWINGS)
    )


def _figures(uploads: int, answers: Counter[int], records: dict[str, Any]) -> dict[str, Any]:
    """Compare the records with what the embedded model says of the same images."""
    expected = _expected()
    rows = records["rows"]
    per_upload = Counter(row["file_name"] for row in rows)
    return {
        "uploads": uploads,
        "answers": {str(status): count for status, count in sorted(answers.items())},
        "refused": uploads - answers[201] - answers[202],
        "lost": sum(per_upload[f"{number}.jpg"] == 0 for number in range(uploads))
        + sum(row["status"] in ("received", "failed") for row in rows),
        "doubled": sum(per_upload[f"{number}.jpg"] > 1 for number in range(uploads))
        + sum(records["results"].get(str(row["id"]), 0) > 1 for row in rows),
        "without_event": sum(records["results"].get(str(row["id"]), 0) == 0 for row in rows),
        "wrong": sum(
            not _agrees(row, expected[int(row["file_name"].removesuffix(".jpg")) % DRAWINGS])
            for row in rows
            if row["status"] in ("screened", "refused")
        ),
        "more_than_one_attempt": sum(row["attempts"] > 1 for row in rows),
    }


def _agrees(row: dict[str, Any], outcome: Any) -> bool:
    if (row["outcome"], row["predicted_class"]) != (outcome.headline, outcome.predicted_class):
        return False
    if outcome.prediction is None:
        return row["probabilities"] is None
    return same_probabilities(row["probabilities"].values(), outcome.prediction.probabilities)


def _manage(root: Path, environment: dict[str, str], *arguments: str) -> str:
    return _python(root, environment, "manage.py", *arguments)


def _python(root: Path, environment: dict[str, str], *arguments: str) -> str:
    variables = clean_environment(
        DJANGO_SETTINGS_MODULE="webapp.settings", SECRET_KEY=KEY, **environment
    )
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@contextmanager
def _database(name: str) -> Iterator[str]:
    if name == "sqlite":
        yield ""
        return
    import MySQLdb

    with mariadb() as url:
        server = urlsplit(url)
        connection = MySQLdb.connect(
            host=server.hostname, port=server.port, user=server.username, password=server.password
        )
        connection.query("CREATE DATABASE portal CHARACTER SET utf8mb4")
        connection.close()
        yield url


def sound(figures: dict[str, Any]) -> bool:
    """Whether nothing was lost, doubled, wrong or refused."""
    return not any(
        figures[name] for name in ("refused", "lost", "doubled", "without_event", "wrong")
    )


def main() -> int:
    """Print one run's figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="sqlite")
    options = parser.parse_args()
    with _database(options.database) as url:
        figures = run(options.uploads, options.kills, options.seed, url)
    sys.stdout.write(json.dumps({"database": options.database} | figures, indent=1) + "\n")
    return 0 if sound(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
