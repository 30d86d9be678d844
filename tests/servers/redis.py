"""A Redis server for tests, on the loopback address, gone when its context ends."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from tests.servers.mariadb import _program, free_port
from tests.waiting import WITHIN_S


@contextmanager
def redis(folder: Path, port: int | None = None) -> Iterator[str]:
    """The QUEUE_URL of a server that keeps nothing on disk."""
    port = port or free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([_program("redis-server"), *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WITHIN_S
        while True:
            try:
                Redis(port=port).ping()
                break
            except RedisError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()
