"""Where a model server is, ours or a real one."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests

from diagnosis.imaging.contract import ModelContract
from diagnosis.predictors.addresses import model_urls
from diagnosis.predictors.store import read_live, version_dir
from tests.on_mariadb import free_port
from tests.product import ROOT, clean_environment

STORE = ROOT / "serving/models"
NAME = "all_smear"
STARTS_WITHIN_S = 60


@pytest.fixture(scope="session")
def stable() -> ModelContract:
    """The contract of the live version of this repository."""
    return ModelContract.load(version_dir(STORE, NAME, read_live(STORE, NAME).stable))


@pytest.fixture(scope="session")
def graph_server() -> Iterator[str]:
    """A process that runs the SavedModel's own signatures behind our REST interface."""
    port = free_port()
    command = [sys.executable, "-m", "tests.tfserving.model_server", "--store", str(STORE)]
    command += ["--port", str(port), "--runtime", "savedmodel"]
    environment = clean_environment(TF_CPP_MIN_LOG_LEVEL="2")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/v1/models/{NAME}"
    deadline = time.monotonic() + STARTS_WITHIN_S
    try:
        while True:
            try:
                requests.get(url, timeout=5).raise_for_status()
                break
            except requests.RequestException:
                assert time.monotonic() < deadline, "the model server did not start"
                time.sleep(0.1)
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
