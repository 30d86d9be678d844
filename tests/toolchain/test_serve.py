"""``manage.py serve``: one foreground process, with which everything stops."""

import contextlib
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.product import Product, copy_product
from tests.waiting import WITHIN_S, wait_until

pytestmark = pytest.mark.xdist_group("serve")  # they share one prepared folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_product(tmp_path_factory.mktemp("serve"))


def descendants(pid: int) -> dict[int, str]:
    """Every process below ``pid``, with its command line."""
    table = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = {int(row[0]): row[2] for row in rows if int(row[1]) in parents}
        found |= children
        parents = set(children)
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def running(product: Product) -> dict[int, str]:
    """The processes below a product that is ready: gunicorn, two of its own, and the worker."""
    product.wait_until_ready()
    wait_until(lambda: "Starting worker" in product.log.read_text())
    found = descendants(product.process.pid)
    assert sum("gunicorn" in command for command in found.values()) == 3
    assert sum("django worker" in command for command in found.values()) == 1
    return found


def test_first_start_prepares_and_second_only_serves(tmp_path: Path) -> None:
    root = copy_product(tmp_path)
    with Product(root) as product:
        product.wait_until_ready()
        (password,) = re.findall(r"user demo with password (\S+);", product.log.read_text())
        with urllib.request.urlopen(f"{product.url}/login") as page:
            styles = re.findall(rb'href="(/static/[^"]+\.css)"', page.read())
        assert styles
        for style in styles:
            with urllib.request.urlopen(product.url + style.decode()) as sheet:
                assert "immutable" in sheet.headers["Cache-Control"], "named by what is in it"
    with Product(root) as product:
        product.wait_until_ready()
        log = product.log.read_text()
    assert password not in log
    assert "user demo" not in log
    assert "Collecting" not in log
    assert "database" not in log
    collected = {path.name for path in (root / "var/static").glob("*/")}
    assert collected == {"admin", "drf_spectacular_sidecar", "webapp"}, "what pages ask for"


@pytest.fixture
def heeded() -> Iterator[None]:
    """No signal is ignored, as in a terminal.

    A suite started by nohup ignores SIGHUP, one started in the background SIGINT; what it starts
    inherits that, and the product keeps to it.
    """
    asked = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in asked}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_stops_everything(root: Path, number: signal.Signals) -> None:
    with Product(root) as product:
        children = running(product)
        product.process.send_signal(number)
        assert product.process.wait(timeout=WITHIN_S) == 0
        assert [command for pid, command in children.items() if alive(pid)] == []
        assert not product.answers()


def test_killed_foreground_leaves_nothing_behind(root: Path) -> None:
    with Product(root) as product:
        children = running(product)
        product.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in children))


@pytest.mark.parametrize(
    ("part", "name"), [("django worker", "worker"), ("gunicorn", "web server")]
)
def test_a_part_that_is_lost_is_started_again(root: Path, part: str, name: str) -> None:
    with Product(root) as product:
        children = running(product)
        os.kill(min(pid for pid, found in children.items() if part in found), signal.SIGKILL)

        def there_again() -> bool:  # gunicorn's lowest number is its master
            now = [found for pid, found in descendants(product.process.pid).items()]
            log = product.log.read_text()
            begun = log.count("Starting worker") if part != "gunicorn" else 1
            return begun == 1 + (part != "gunicorn") and sum(part in found for found in now) >= 1

        wait_until(lambda: f"The {name} ended unexpectedly (signal 9)" in product.log.read_text())
        wait_until(there_again)
        wait_until(product.answers)
        assert product.process.poll() is None


def test_a_part_that_cannot_be_started_ends_everything(tmp_path: Path) -> None:
    root = copy_product(tmp_path)
    (root / "webapp/gunicorn_config.py").write_text("raise SystemExit('a broken setting')")
    with Product(root) as product:
        assert product.process.wait(timeout=WITHIN_S) == 1
    log = product.log.read_text()
    assert log.count("The web server ended unexpectedly (exit status 1)") == 4
    assert "The web server cannot be started: it ended 5 times at once" in log


def test_logs_name_no_person(root: Path) -> None:
    addresses = {  # what the log may say of each
        "/specimens/H-2024-117/edit?patient=Lovelace": "GET /specimens/…/edit 302",
        "/patients/?q=Lovelace": "GET /patients/ 302",
        "/api/specimens/H-2024-117/nothing": "Not Found: /api/specimens/…/…",
    }
    with Product(root) as product:
        product.wait_until_ready()
        for address in addresses:
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(product.url + address).close()
    log = product.log.read_text()
    for said in addresses.values():
        assert said in log
    assert "H-2024-117" not in log
    assert "patient=" not in log
    assert "q=" not in log
