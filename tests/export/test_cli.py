"""The command line as an ML engineer uses it, beside a product that runs."""

import dataclasses
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from diagnosis.core.drift import reference_path
from diagnosis.core.imaging.contract import CONTRACT_FILE, ModelContract
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.seal import SEAL, seal
from diagnosis.core.predictors.store import Live, live_path, published_versions, read_live
from tests.diagnosis.made.pictures import encode
from tests.export.conftest import Rows
from tests.product import KEY, ROOT, Product, clean_environment, prepared_product
from tests.waiting import WITHIN_S

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
NAME = "all_smear"
TINY, WITH_TINY = "tiny", "tests.export.tiny"
pytestmark = pytest.mark.xdist_group("export_cli")  # one store and one run for all


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store that this checkout serves."""
    folder = tmp_path_factory.mktemp("cli") / "serving/models"
    shutil.copytree(ROOT / "serving/models", folder)
    return folder


@pytest.fixture(scope="module")
def cli(store: Path, small_set: tuple[Path, Rows]) -> Cli:
    """Runs ``python -m export``, or another module, on the small set and that store."""

    def run(
        *arguments: str, module: str = "export", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        environment = clean_environment(
            DATA_DIR=str(small_set[0]),
            RUNS_DIR=str(store.parent.parent / "runs"),
            MODEL_STORE=str(store),
            MODEL_NAME=NAME,
            PREDICTOR_URL="embedded:",
        )
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def run(cli: Cli) -> str:
    """The name of a finished, cross-validated run."""
    train = ("train", "--architecture", TINY, "--run", "quick")
    done = cli(*train, "--epochs", "1", "--batch-size", "4", module=WITH_TINY)
    assert done.returncode == 0, done.stderr
    assert "exact duplicates dropped" in done.stdout
    assert re.search(r"epoch 1/1 .* min left", done.stdout)
    done = cli("cross-validate", "quick", "--folds", "2", module=WITH_TINY)
    assert done.returncode == 0, done.stderr
    return "quick"


@pytest.fixture
def product(store: Path, tmp_path: Path) -> Iterator[tuple[Product, dict[str, str]]]:
    """The product on that store, and the header of a user who may upload."""
    root = prepared_product(tmp_path / "product")
    variables = {"MODEL_STORE": str(store), "DEMO_PASSWORD": secrets.token_urlsafe(12)}
    with Product(root, variables) as product:
        product.wait_until_ready()
        token = subprocess.run(
            [sys.executable, "manage.py", "api_token", "demo"],
            cwd=root,
            env=clean_environment(SECRET_KEY=KEY, **variables),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[-1]
        yield product, {"Authorization": f"Token {token}"}


class Uploads(threading.Thread):
    """Uploads one field after another until it is stopped, and keeps what was answered."""

    def __init__(self, product: Product, headers: dict[str, str]) -> None:
        super().__init__()
        self._product, self._headers = product, headers
        self.stopped = threading.Event()
        self.statuses: list[int] = []
        self.versions: list[int] = []
        self.answered = threading.Condition()

    def run(self) -> None:
        seed = 1000
        while not self.stopped.wait(2):  # the commands need the processors as well
            seed += 1
            answer = requests.post(
                f"{self._product.url}/api/diagnose",
                files={"image": encode("JPEG", draw_smear(seed, 240, 320), quality=92)},
                headers=self._headers,
                timeout=WITHIN_S,
            )
            with self.answered:
                self.statuses.append(answer.status_code)
                self.versions.append(answer.json()["model"]["version"])
                self.answered.notify_all()

    def wait_for(self, version: int) -> None:
        """Wait until that version has answered after this call."""
        with self.answered:
            asked = len(self.versions)
            assert self.answered.wait_for(
                lambda: version in self.versions[asked:], timeout=WITHIN_S
            )


def test_publish_promote_answer_roll_back(
    cli: Cli, run: str, store: Path, product: tuple[Product, dict[str, str]]
) -> None:
    """While the product runs, without a restart and without a failed request."""
    before = read_live(store, NAME)
    uploads = Uploads(*product)
    uploads.start()
    try:
        uploads.wait_for(before.stable)
        refused = cli("publish", run)
        assert refused.returncode == 1
        assert "--accept-regression" in refused.stderr
        reasons = ("--accept-regression", "A test.", "--accept-shortcut", "A test.")
        done = cli("publish", run, *reasons, module=WITH_TINY)
        assert done.returncode == 0, done.stderr
        version = published_versions(store, NAME)[-1]
        assert f"published version {version}" in done.stdout
        assert re.search(r"\d+ mended, \d+ broken", done.stdout)
        assert read_live(store, NAME) == before
        uploads.wait_for(before.stable)

        assert cli("canary", str(version)).returncode == 0
        assert read_live(store, NAME).canary == version
        assert cli("canary", "--withdraw").returncode == 0
        assert cli("canary").returncode == 1
        assert read_live(store, NAME) == before

        assert cli("promote", str(version)).returncode == 0
        assert read_live(store, NAME) == Live(version, previous=before.stable)
        assert f"versions: {version}" in (store.parent / "models.config").read_text()
        uploads.wait_for(version)

        rolled_back = cli("rollback")
        assert rolled_back.returncode == 0
        assert f"{version}  previous" in rolled_back.stdout
        assert read_live(store, NAME) == Live(before.stable, previous=version)
        uploads.wait_for(before.stable)
    finally:
        uploads.stopped.set()
        uploads.join()
    assert set(uploads.statuses) == {201}
    listed = cli("list").stdout.splitlines()
    assert [line.split()[:2] for line in listed[-1:]] == [[str(version), "previous"]]


def test_what_is_tampered_with_is_not_promoted(cli: Cli, store: Path) -> None:
    before = read_live(store, NAME)
    copy = store / NAME / "99"
    shutil.copytree(store / NAME / str(before.stable), copy)
    try:
        contract = copy / "assets.extra/contract.json"
        contract.write_bytes(contract.read_bytes().replace(b'"version":', b'"version": 99, "was":'))
        done = cli("promote", "99")
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "does not match its seal: assets.extra/contract.json" in done.stderr
        assert (copy / SEAL).exists()
        assert read_live(store, NAME) == before
    finally:
        shutil.rmtree(copy)


def test_a_version_that_no_server_loads_is_not_promoted(cli: Cli, store: Path) -> None:
    before, live = read_live(store, NAME), live_path(store, NAME).read_bytes()
    copy = store / NAME / "98"
    shutil.copytree(store / NAME / str(before.stable), copy)
    try:
        contract = ModelContract.load(copy)
        (copy / CONTRACT_FILE).write_bytes(dataclasses.replace(contract, version=98).to_json())
        seal(copy)
        nowhere = "http://127.0.0.1:9/v1/models/all_smear"
        done = cli("promote", "98", "--timeout", "0", PREDICTOR_URL=nowhere)
        assert done.returncode == 1
        assert "has not loaded version 98" in done.stderr
        assert read_live(store, NAME) == before
        assert cli("promote", "98").returncode == 0  # embedded, there is no server to wait for
    finally:
        live_path(store, NAME).write_bytes(live)
        shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("publish", "nowhere"), "is no run folder"),
        (("cross-validate", "nowhere"), "is no run folder"),
        (("train", "--architecture", "alexnet"), "choose one of"),
        (("train", "--data", "/nonexistent"), "error: "),
        (("train", "--weights", "/nonexistent.h5", "--run", "w"), "cannot be read"),
        (("train", "--batch-size", "0"), "batch size is 0; give"),
        (("promote", "77"), "is not published"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_changes_nothing(
    cli: Cli, store: Path, arguments: tuple[str, ...], says: str
) -> None:
    before = published_versions(store, NAME), read_live(store, NAME)
    done = cli(*arguments)
    assert done.returncode == 1
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert says in sentence
    assert done.stderr.strip().endswith(sentence)  # TensorFlow says a word of its own before
    assert "Traceback" not in done.stderr
    assert (published_versions(store, NAME), read_live(store, NAME)) == before


@pytest.mark.data
def test_the_quick_benchmark_makes_its_document(cli: Cli, data_dir: Path, tmp_path: Path) -> None:
    """Everything that the full benchmark does, on 64 real fields and for one architecture."""
    document = tmp_path / "benchmark.md"
    quick = ("benchmark", "--quick", "--only", "cell_cnn", "--output", str(document))
    done = cli(*quick, DATA_DIR=str(data_dir))
    assert done.returncode == 0, done.stderr
    text = document.read_text()
    assert "64 fields in 8 groups, 2 folds" in text
    leaky, grouped = (
        next(line for line in text.splitlines() if line.startswith(f"| `cell_cnn` | {protocol}"))
        for protocol in ("(a) random, **leaky**", "(b) grouped, out of fold")
    )
    assert "(12;" in leaky
    assert "(64;" in grouped
    assert "–  |" not in leaky + grouped
    # Seeing cells alone, it commits itself nowhere once they are painted over.
    assert text.count("| 25.0% | 0.0% (64; 0.0% – 5.6%) |") == 1


def test_a_reference_is_made_of_the_versions_own_fields(cli: Cli, store: Path) -> None:
    path = reference_path(store, NAME, 2)
    before = path.read_bytes()
    answer = cli("reference", "2")
    assert answer.returncode == 1
    assert "learned from other fields" in answer.stderr
    assert path.read_bytes() == before
