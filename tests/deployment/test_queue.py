"""Redis as docker-compose.yml starts it: behind a password, and nothing kept on disk."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.deployment.laid_out.files import compose
from tests.product import ROOT, clean_environment
from tests.waiting import WITHIN_S, wait_until

PASSWORD = "a\"b\\c $d 'e' %f#&/ü"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "redis_password"
    path.write_text(PASSWORD + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


@pytest.fixture
def server(secret: Path, folder: Path, unused_port: int) -> "Iterator[subprocess.Popen[bytes]]":
    """The service's own command on the loopback address."""
    shell, option, script = compose()["services"]["redis"]["command"]
    here = f"redis-server - --port {unused_port} --bind 127.0.0.1 "
    script = script.replace("redis-server - ", here)
    script = script.replace("/run/secrets/redis_password", str(secret))
    process = subprocess.Popen([shell, option, script], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: healthy(unused_port, secret))
        yield process
    finally:
        process.kill()
        process.wait()


def healthy(port: int, secret: Path) -> bool:
    """What the service's health check says."""
    kind, script = compose()["services"]["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    script = script.replace("/run/secrets/redis_password", str(secret))
    script = script.replace("redis-cli", f"redis-cli -p {port}")
    return subprocess.run(["sh", "-c", script]).returncode == 0


def test_queue_asks_for_the_password(
    server: "subprocess.Popen[bytes]", unused_port: int, secret: Path
) -> None:
    with (
        redis.Redis(port=unused_port, retry=None) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    assert healthy(unused_port, secret)
    secret.write_text("another")
    assert not healthy(unused_port, secret)


def test_entry_point_makes_an_address_that_the_queue_takes(
    server: "subprocess.Popen[bytes]", unused_port: int, secret: Path
) -> None:
    ask = "import os, redis; print(redis.from_url(os.environ['QUEUE_URL']).ping())"
    run = subprocess.run(
        [sys.executable, str(ROOT / "serving/entrypoint.py"), sys.executable, "-c", ask],
        env=clean_environment(
            QUEUE_URL=f"redis://127.0.0.1:{unused_port}/0", QUEUE_PASSWORD_FILE=str(secret)
        ),
        capture_output=True,
        text=True,
    )
    assert run.stdout == "True\n", run.stderr


def test_password_stands_in_no_list_of_processes(server: "subprocess.Popen[bytes]") -> None:
    shown = Path(f"/proc/{server.pid}/cmdline").read_bytes().decode()
    assert shown.startswith("redis-server"), "the server took the shell's place"
    assert "requirepass" not in shown
    assert "$d" not in shown


def test_queue_stops_when_asked_and_leaves_nothing(
    server: "subprocess.Popen[bytes]", unused_port: int, folder: Path
) -> None:
    with redis.Redis(port=unused_port, password=PASSWORD) as client:
        client.set("task", "1")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=WITHIN_S) == 0
    assert list(folder.iterdir()) == []
