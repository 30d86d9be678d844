"""The processes of a running product."""

import os
import subprocess

from tests.product import Product
from tests.waiting import wait_until


def descendants(pid: int) -> dict[int, str]:
    """Every process below ``pid``, with its command line."""
    table = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
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
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def running(product: Product, web: int = 2) -> dict[int, str]:
    """The processes below a product that is ready: gunicorn, ``web`` of its own, and the worker."""
    product.wait_until_ready()
    wait_until(lambda: "Starting worker" in product.log.read_text())
    found = descendants(product.process.pid)
    assert sum("gunicorn" in command for command in found.values()) == 1 + web
    assert sum("django worker" in command for command in found.values()) == 1
    return found
