"""The container's entry point: secrets from files, one sentence when something is wrong."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import dj_database_url
import pytest

from serving import entrypoint, healthcheck
from tests.product import ROOT, clean_environment
from tests.waiting import WITHIN_S

SCRIPT = str(ROOT / "serving/entrypoint.py")
SHOW = (sys.executable, "-c", "import os, sys; print(os.environ[sys.argv[1]])")
ODD = "p@ss:w/ord?#%25 +é\"'\\$"


def start(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, *command],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def shown(name: str, **variables: str) -> str:
    """What the command finds in its environment."""
    run = start(*SHOW, name, **variables)
    assert run.returncode == 0, run.stderr
    return run.stdout.removesuffix("\n")


def refusal(**variables: str) -> str:
    """The one sentence that it says instead of starting the command."""
    run = start(*SHOW, "PATH", **variables)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "QUEUE_URL"])
def test_value_comes_from_its_file(file: Path, name: str) -> None:
    file.write_text(" spaces and = are kept \n")
    assert shown(name, **{f"{name}_FILE": str(file)}) == " spaces and = are kept "


def test_an_empty_variable_is_none(file: Path) -> None:
    file.write_text("from the file")
    assert shown("SECRET_KEY", SECRET_KEY="", SECRET_KEY_FILE=str(file)) == "from the file"


def test_without_files_the_environment_stays(file: Path) -> None:
    assert shown("DATABASE_URL", DATABASE_URL="sqlite:////srv/x") == "sqlite:////srv/x"


@pytest.mark.parametrize("password", ["plain", ODD, "a/b", "100%"])
def test_database_gets_the_password_as_it_is(file: Path, password: str) -> None:
    file.write_text(password + "\n")
    url = shown(
        "DATABASE_URL",
        DATABASE_URL="mysql://portal@mysql:3306/portal",
        DATABASE_PASSWORD_FILE=str(file),
    )
    found = dj_database_url.parse(url)
    assert found["PASSWORD"] == password
    assert (found["USER"], found["HOST"], found["PORT"]) == ("portal", "mysql", 3306)
    assert found["NAME"] == "portal"


@pytest.mark.parametrize("user", ["", "default@"])
def test_queue_gets_the_password_as_it_is(file: Path, user: str) -> None:
    import redis

    file.write_text(ODD)
    url = shown("QUEUE_URL", QUEUE_URL=f"redis://{user}redis:6379/0", QUEUE_PASSWORD_FILE=str(file))
    found = redis.from_url(url).connection_pool.connection_kwargs
    assert (found["password"], found["host"], found["port"], found["db"]) == (ODD, "redis", 6379, 0)


def test_a_url_from_a_file_takes_a_password_from_another(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://portal@[fd00::1]:3306/portal")
    (tmp_path / "password").write_text("p")
    assert (
        shown(
            "DATABASE_URL",
            DATABASE_URL_FILE=str(tmp_path / "url"),
            DATABASE_PASSWORD_FILE=str(tmp_path / "password"),
        )
        == "mysql://portal:p@[fd00::1]:3306/portal"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"SECRET_KEY_FILE names \S+, which holds nothing; write one line"),
        (b"\n", r"which holds nothing"),
        (b"one\ntwo\n", r"which holds several lines"),
        (b"\xff\xfe", r"which is not UTF-8"),
        (None, r"SECRET_KEY_FILE names \S+, which cannot be read \(No such file.*mount the secret"),
    ],
)
def test_a_wrong_file_stops_the_start(file: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        file.write_bytes(content)
    assert re.search(f"^Start refused: .*{sentence}", refusal(SECRET_KEY_FILE=str(file)))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"SECRET_KEY": "x", "SECRET_KEY_FILE": "FILE"}, "Set SECRET_KEY or SECRET_KEY_FILE, not"),
        ({"DATABASE_PASSWORD_FILE": "FILE"}, "DATABASE_URL is no address with a host"),
        (
            {"DATABASE_URL": "sqlite:////srv/x", "DATABASE_PASSWORD_FILE": "FILE"},
            "DATABASE_URL is no address with a host",
        ),
        (
            {"DATABASE_URL": "mysql://u@[::1/x", "DATABASE_PASSWORD_FILE": "FILE"},
            "DATABASE_URL is no address with a host",
        ),
        (
            {"QUEUE_URL": "redis://:former@redis/0", "QUEUE_PASSWORD_FILE": "FILE"},
            "QUEUE_URL holds a password already",
        ),
    ],
)
def test_contradictions_stop_the_start(
    file: Path, variables: dict[str, str], sentence: str
) -> None:
    file.write_text("a-secret-that-is-not-said")
    line = refusal(**{name: value.replace("FILE", str(file)) for name, value in variables.items()})
    assert sentence in line
    assert "a-secret" not in line
    assert "former" not in line


def test_what_cannot_be_run_is_said_in_a_sentence() -> None:
    for command, sentence in [
        ([], "name a command"),
        (["no-such-program"], "no-such-program cannot be run"),
    ]:
        run = start(*command)
        assert run.returncode == 1
        assert sentence in run.stderr
        assert "Traceback" not in run.stderr


def test_command_takes_the_place_of_the_entry_point() -> None:
    """So SIGTERM, and whatever else the engine sends to the process it started, reaches it."""
    count = "import signal, os; print(os.getpid(), flush=True); signal.pause()"
    process = subprocess.Popen(
        [sys.executable, SCRIPT, sys.executable, "-c", count],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=WITHIN_S) == -signal.SIGTERM
    process.stdout.close()


def test_exit_status_is_the_commands() -> None:
    assert start(sys.executable, "-c", "raise SystemExit(7)").returncode == 7


def test_own_addresses_are_hosts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrypoint, "own_addresses", lambda: ["172.18.0.5", "fd00::5"])
    made = entrypoint.environment({"ALLOWED_HOSTS": "smears.example.org"})
    assert made["ALLOWED_HOSTS"] == "smears.example.org,172.18.0.5,[fd00::5]"
    assert "ALLOWED_HOSTS" not in entrypoint.environment({}), "the settings' own default stays"


def test_own_addresses_are_those_of_the_name_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "localhost")
    assert "127.0.0.1" in entrypoint.own_addresses()
    monkeypatch.setattr("socket.gethostname", lambda: "no-such-host.invalid")
    assert entrypoint.own_addresses() == []


def test_health_check_says_why_not(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> None:
    monkeypatch.setattr(healthcheck, "PORT", unused_port)
    monkeypatch.setattr(healthcheck, "own_addresses", lambda: ["127.0.0.1"])
    with pytest.raises(SystemExit, match=r"Not ready: .*refused"):
        healthcheck.main()
