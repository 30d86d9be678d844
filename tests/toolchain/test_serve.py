"""``manage.py serve``: one foreground process, with which everything stops."""

import contextlib
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.product import Product, prepared_product
from tests.toolchain.conftest import Started, end, heeded
from tests.toolchain.processes import alive, descendants, running
from tests.waiting import WITHIN_S, wait_until

pytestmark = pytest.mark.xdist_group("serve")  # they share products and a prepared folder

ONE = {"WEB_CONCURRENCY": "1"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_product(tmp_path_factory.mktemp("serve"))


def test_first_start_prepares_and_second_only_serves(started: Started) -> None:
    (password,) = re.findall(r"user demo with password (\S+);", started.first.log)
    assert "Collecting" in started.first.log
    assert "Bringing the database up to date" in started.first.log
    assert started.first.caching
    assert all("immutable" in said for said in started.first.caching), "named by what is in it"
    assert password not in started.again
    assert "user demo" not in started.again
    assert "Collecting" not in started.again
    assert "Bringing the database" not in started.again
    collected = {path.name for path in (started.product.root / "var/static").glob("*/")}
    assert collected == {"admin", "drf_spectacular_sidecar", "webapp"}, "what pages ask for"


def test_sigterm_stops_everything(started: Started) -> None:
    ended = started.first.ended
    assert (ended.status, ended.left, ended.answers) == (0, [], False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signal_stops_everything(root: Path, number: signal.Signals) -> None:
    with heeded(), Product(root, ONE) as product:
        ended = end(product, number, web=1)
    assert (ended.status, ended.left, ended.answers) == (0, [], False)


def test_killed_foreground_leaves_nothing_behind(root: Path) -> None:
    with Product(root, ONE) as product:
        children = running(product, web=1)
        product.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in children))


def test_logs_name_no_person(started: Started) -> None:
    addresses = {  # what the log may say of each
        "/specimens/H-2024-117/edit?patient=Lovelace": "GET /specimens/…/edit 302",
        "/patients/?q=Lovelace": "GET /patients/ 302",
        "/api/specimens/H-2024-117/nothing": "Not Found: /api/specimens/…/…",
    }
    for address in addresses:
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(started.product.url + address).close()
    for said in addresses.values():  # an access line follows its answer
        wait_until(lambda said=said: said in started.product.log.read_text(), said)
    log = started.product.log.read_text()
    assert "H-2024-117" not in log
    assert "patient=" not in log
    assert "q=" not in log


@pytest.mark.parametrize(
    ("part", "name", "said"),
    [
        ("django worker", "worker", "Starting worker"),
        ("gunicorn", "web server", "Starting gunicorn"),
    ],
)
def test_a_part_that_is_lost_is_started_again(
    started: Started, part: str, name: str, said: str
) -> None:
    product = started.product
    children = running(product)
    begun = product.log.read_text().count(said)
    # gunicorn's lowest number is its master
    os.kill(min(pid for pid, found in children.items() if part in found), signal.SIGKILL)
    wait_until(lambda: f"The {name} ended unexpectedly (signal 9)" in product.log.read_text())
    wait_until(lambda: product.log.read_text().count(said) == begun + 1)
    assert any(part in found for found in descendants(product.process.pid).values())
    wait_until(product.answers)
    assert product.process.poll() is None


def test_a_part_that_cannot_be_started_ends_everything(tmp_path: Path) -> None:
    root = prepared_product(tmp_path)
    (root / "webapp/gunicorn_config.py").write_text("raise SystemExit('a broken setting')")
    serve = root / "diagnosis/management/commands/serve.py"
    hurried = re.sub(r"(?m)^(FIRST_PAUSE_S = ).*$", r"\g<1>0.01", serve.read_text())
    assert hurried != serve.read_text()
    serve.write_text(hurried)
    with Product(root, ONE) as product:
        assert product.process.wait(timeout=WITHIN_S) == 1
    log = product.log.read_text()
    assert log.count("The web server ended unexpectedly (exit status 1)") == 4
    assert "The web server cannot be started: it ended 5 times at once" in log
