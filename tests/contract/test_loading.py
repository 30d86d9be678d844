"""A version that cannot be loaded: what it does to a server, and what we do about it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests
import yaml

from diagnosis.core.predictors.store import Live, read_live
from export.publishing import registry
from export.publishing.model_server import LOADING_SECONDS, NotServedError, wait_available
from tests.contract.conftest import NAME
from tests.deployment.laid_out.files import flags
from tests.product import ROOT, clean_environment
from tests.servers.mariadb import free_port
from tests.tfserving.loading import AVAILABLE, START, Retries, Versions
from tests.tfserving.model_server import ModelServer, Store
from tests.tfserving.patience import Clock
from tests.waiting import WITHIN_S, wait_until


def configured() -> Retries:
    """As docker-compose.yml has it."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    found = flags(services["tfserving"]["command"])
    interval = int(found["load_retry_interval_micros"]) / 1e6
    return Retries(int(found["max_num_load_retries"]), interval)


def versions(store: Path, retries: Retries, clock: Clock) -> Versions:
    return Versions(store.parent / "models.config", store / NAME, retries, clock)


def write_config(store: Path, *numbers: int) -> None:
    """As if the damage came later."""
    (store.parent / "models.config").write_text(registry.models_config(NAME, numbers))


def damage(store: Path, version: int) -> None:
    (store / NAME / str(version) / "saved_model.pb").unlink()


def test_a_server_told_to_load_a_damaged_version_never_opens_its_port(store: Path) -> None:
    """What a real one does by itself; ``forget`` is the way out."""
    registry.promote(store, NAME, 2)
    registry.promote(store, NAME, 1)
    registry.set_canary(store, NAME, 3)
    damage(store, 2)
    clock = Clock()
    assert not versions(store, Retries(), clock).start(clock.sleep)
    assert clock.now - Clock().now == 300
    registry.forget(store, NAME, 2)
    again = versions(store, Retries(), clock)
    assert again.start(clock.sleep)
    assert again.states == {1: AVAILABLE, 3: AVAILABLE}


@pytest.mark.parametrize("command", [registry.promote, registry.set_canary])
def test_promote_says_the_cause_that_a_server_does_not(store: Path, command: object) -> None:
    """A server only says START; it is not even asked."""
    damage(store, 2)
    with ModelServer(Store(store)) as server:
        wait = partial(wait_available, server.url, timeout=0)
        write_config(store, 1, 2)
        with pytest.raises(NotServedError, match=START):
            wait(2)
        asked = len(server.asked)
        with pytest.raises(Exception, match=r"all_smear/2 .*saved_model\.pb is missing"):
            command(store, NAME, 2, wait)  # type: ignore[operator]
        assert len(server.asked) == asked
    assert read_live(store, NAME) == Live(1)


@pytest.mark.parametrize(
    ("retries", "waited", "up"),
    [(configured(), LOADING_SECONDS / 2, True), (Retries(), LOADING_SECONDS, False)],
)
def test_after_a_failed_version_a_good_one_is_up_while_promote_waits(
    store: Path, retries: Retries, waited: float, up: bool
) -> None:
    """With the flags of Compose; with the server's own it would take five minutes."""
    clock = Clock()
    served = versions(store, retries, clock)
    assert served.look() == {1: AVAILABLE}
    damage(store, 2)
    write_config(store, 1, 2)
    assert served.look() == {1: AVAILABLE, 2: START}
    write_config(store, 1, 3)
    assert served.look().get(3) is None, "the failed one is in its way"
    clock.sleep(waited)
    assert (served.look().get(3) == AVAILABLE) is up


@contextmanager
def started(store: Path, *before: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server on what ``before`` makes of the configuration, with a single attempt to load."""
    port, own = free_port(), store.parent / "own.config"
    config = own if before else store.parent / "models.config"
    given = [*before, str(store.parent / "models.config"), str(own)] if before else []
    command = [sys.executable, "-m", "tests.tfserving.model_server", "--port", str(port)]
    command += ["--store", str(store), "--model_config_file", str(config)]
    process = subprocess.Popen(
        [*given, *command, "--max_num_load_retries", "0"],
        cwd=ROOT,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, f"http://127.0.0.1:{port}/v1/models/{NAME}"
    finally:
        process.kill()
        process.wait()


def test_with_start_sh_the_stable_version_is_served_whatever_the_others_are(store: Path) -> None:
    registry.promote(store, NAME, 2)
    config = store.parent / "models.config"
    config.write_text(config.read_text().replace(registry.CONTAINER_STORE, str(store)))
    damage(store, 1)
    with started(store) as (alone, _):
        assert alone.wait(WITHIN_S) == 1
        assert alone.stderr is not None
        assert "could not be loaded" in alone.stderr.read()
    with started(store, "bash", str(ROOT / "serving/start.sh")) as (process, url):

        def says() -> str:
            assert process.poll() is None
            try:
                return requests.get(url, timeout=WITHIN_S).text
            except requests.ConnectionError:
                return ""

        assert '"version": "2", "state": "AVAILABLE"' in wait_until(says)
        assert process.stderr is not None
        assert "version 1 is left out: " in process.stderr.readline()
