"""Where a model server is, ours or a real one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from diagnosis.core.imaging.contract import CONTRACT_FILE, ModelContract
from diagnosis.core.predictors import tf_serving
from diagnosis.core.predictors.addresses import model_urls
from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import read_live, version_dir
from export.publishing import registry
from tests.product import ROOT, clean_environment
from tests.servers.mariadb import free_port
from tests.tfserving.patience import PATIENT
from tests.waiting import WITHIN_S, wait_until

STORE = ROOT / "serving/models"
NAME = "all_smear"


@pytest.fixture
def patient_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's own client gives a model server minutes, as every wait of a test has."""
    monkeypatch.setattr(tf_serving, "Patience", lambda: PATIENT)
    monkeypatch.setattr("export.publishing.model_server.REQUEST_SECONDS", WITHIN_S)


@pytest.fixture(scope="session")
def stable() -> ModelContract:
    """The contract of the live version of this repository."""
    return ModelContract.load(version_dir(STORE, NAME, read_live(STORE, NAME).stable))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A model store with the published version as numbers 1 to 3, number 1 promoted."""
    root = tmp_path / "models"
    published = version_dir(STORE, NAME, read_live(STORE, NAME).stable)
    for number in (1, 2, 3):
        folder = root / NAME / str(number)
        shutil.copytree(published, folder)
        document = json.loads((folder / CONTRACT_FILE).read_bytes())
        (folder / CONTRACT_FILE).write_text(json.dumps(document | {"version": number}))
        seal(folder)
    registry.promote(root, NAME, 1)
    return root


@pytest.fixture(scope="session")
def graph_server() -> Iterator[str]:
    """A process that runs the SavedModel's own signatures behind our REST interface."""
    port = free_port()
    command = [sys.executable, "-m", "tests.tfserving.model_server", "--store", str(STORE)]
    command += ["--port", str(port), "--runtime", "savedmodel"]
    environment = clean_environment(TF_CPP_MIN_LOG_LEVEL="2")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/v1/models/{NAME}"

    def answers() -> bool:
        assert process.poll() is None, "the model server did not start"
        try:
            return requests.get(url, timeout=WITHIN_S).ok
        except requests.ConnectionError:
            return False

    try:
        wait_until(answers)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def real_server() -> list[str]:
    """Model URLs of a real TensorFlow Serving that serves this repository's model store."""
    address = os.environ.get("TFSERVING_URL")
    if not address:
        pytest.skip("TFSERVING_URL names no TensorFlow Serving (same form as PREDICTOR_URL)")
    return model_urls(address)
