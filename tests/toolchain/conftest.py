"""Fixtures of the tests that start the product as its user does."""

import os
import re
import signal
import stat
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.product import Product, copy_product
from tests.toolchain.processes import alive, running
from tests.waiting import WITHIN_S
from webapp.private_files import OTHERS

OPENED = ("var", "var/media", "var/db.sqlite3")


@contextmanager
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


def open_to_others(folder: Path) -> list[str]:
    """What below a folder, itself included, other users could read."""
    return [
        str(path.relative_to(folder))
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & OTHERS
    ]


@dataclass(frozen=True)
class Ended:
    """What became of a product that got a signal.

    Attributes:
        status: its exit status.
        left: command lines of its processes that live on.
        answers: whether its web server still does.
    """

    status: int
    left: list[str]
    answers: bool


def end(product: Product, number: signal.Signals, web: int = 2) -> Ended:
    """Send a signal to the foreground process alone, and wait for its end.

    Args:
        web: processes of the web server.
    """
    children = running(product, web)
    product.process.send_signal(number)
    status = product.process.wait(timeout=WITHIN_S)
    left = [command for pid, command in children.items() if alive(pid)]
    return Ended(status, left, product.answers())


@dataclass(frozen=True)
class Begun:
    """What a first start on a fresh copy did, until SIGTERM ended it.

    Attributes:
        log: all that it printed.
        caching: Cache-Control of each style sheet of the page of signing in.
        open: what in var/ others could read.
    """

    log: str
    caching: list[str]
    open: list[str]
    ended: Ended


@dataclass(frozen=True)
class Started:
    """A product that was started before, with its first start.

    Attributes:
        again: what it had printed when it was ready.
        opened: what of an earlier version lay open when it started.
    """

    first: Begun
    product: Product
    again: str
    opened: list[Path]


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """For tests in the xdist group ``serve``, which leave it running."""
    root = copy_product(tmp_path_factory.mktemp("started"))
    umask = os.umask(0o022)  # that of most people
    try:
        with heeded(), Product(root) as product:
            first = _begun(product)
        (root / "var/media").mkdir(exist_ok=True)
        opened = [root / name for name in OPENED]
        for path in opened:
            path.chmod(path.stat().st_mode | stat.S_IRGRP | stat.S_IROTH)
        with heeded():
            again = Product(root).__enter__()
    finally:
        os.umask(umask)
    try:
        again.wait_until_ready()
        yield Started(first, again, again.log.read_text(), opened)
    finally:
        again.__exit__()


def _begun(product: Product) -> Begun:
    product.wait_until_ready()
    with urllib.request.urlopen(f"{product.url}/login") as page:
        styles = re.findall(rb'href="(/static/[^"]+\.css)"', page.read())
    caching = []
    for style in styles:
        with urllib.request.urlopen(product.url + style.decode()) as sheet:
            caching.append(sheet.headers["Cache-Control"])
    opened = open_to_others(product.root / "var")
    ended = end(product, signal.SIGTERM)
    return Begun(product.log.read_text(), caching, opened, ended)
