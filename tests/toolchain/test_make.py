"""What ``make run`` does before it serves: the virtual environment and .env. What ``make check``
runs."""

import base64
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.product import ROOT, Product, clean_environment, prepared_product
from tests.toolchain.conftest import heeded
from tests.waiting import WITHIN_S


def make_wheel(folder: Path, name: str, version: str) -> str:
    """Write a wheel with one module; gives the line that pins it in a lock."""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(text)}\n"
        for path, text in files.items()
        for digest in [hashlib.sha256(text.encode()).digest()]
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


class Checkout:
    """A folder with ``requirements/venv.sh`` and a lock that needs no network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / "requirements/run.txt"
        self.lock.parent.mkdir()
        shutil.copy(ROOT / "requirements/venv.sh", root / "requirements")
        shutil.copy(ROOT / "pyproject.toml", root)

    def venv(self, **variables: str) -> subprocess.CompletedProcess[str]:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.root)}
        return subprocess.run(
            ["requirements/venv.sh", "run"],
            cwd=self.root,
            env=clean_environment(**offline, **variables),
            capture_output=True,
            text=True,
        )

    def installed_version(self) -> str:
        code = "import smear; print(smear.VERSION)"
        python = self.root / ".venv/bin/python"
        return subprocess.check_output([python, "-c", code], text=True).strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def interrupt(checkout: Checkout) -> None:
    """Leave what a first run that was killed leaves."""
    (checkout.root / ".venv/bin").mkdir(parents=True)
    (checkout.root / ".venv/half-made").touch()
    ended = subprocess.Popen(["true"])
    ended.wait()
    (checkout.root / ".venv/.busy").write_text(str(ended.pid))


def test_interrupted_venv_is_made_anew_and_follows_its_lock(checkout: Checkout) -> None:
    interrupt(checkout)
    checkout.lock.write_text(make_wheel(checkout.root, "smear", "1.0"))
    first = checkout.venv(PYTHON=sys.executable)
    assert (first.returncode, first.stderr) == (0, "")
    assert "Removing .venv: making it was interrupted." in first.stdout
    assert "Installing requirements/run.txt (1 packages)" in first.stdout
    assert checkout.installed_version() == "1.0"
    assert not (checkout.root / ".venv/half-made").exists()
    assert not (checkout.root / ".venv/.busy").exists()

    second = checkout.venv()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")

    line = make_wheel(checkout.root, "smear", "2.0")
    checkout.lock.write_text(re.sub(r"\w{64}", "0" * 64, line))
    tampered = checkout.venv()
    assert tampered.returncode == 1
    assert "DO NOT MATCH THE HASHES" in tampered.stderr
    assert checkout.installed_version() == "1.0"

    checkout.lock.write_text(line)
    assert "Making" not in checkout.venv().stdout
    assert checkout.installed_version() == "2.0"


def test_venv_that_another_make_changes_is_left_alone(checkout: Checkout) -> None:
    checkout.lock.touch()
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv/.busy").write_text(str(os.getpid()))
    run = checkout.venv()
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert f"process {os.getpid()}" in run.stderr
    assert (checkout.root / ".venv").exists()


@pytest.mark.parametrize("variables", [{}, {"PYTHON": sys.executable}], ids=["found", "named"])
def test_other_python_is_refused_in_one_sentence(
    checkout: Checkout, variables: dict[str, str]
) -> None:
    checkout.lock.touch()
    (checkout.root / "pyproject.toml").write_text('requires-python = ">=3.98,<3.99"\n')
    run = checkout.venv(**variables)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert ">=3.98,<3.99" in run.stderr
    assert not (checkout.root / ".venv").exists()


def test_python_without_venv_module_is_refused_in_one_sentence(checkout: Checkout) -> None:
    checkout.lock.touch()
    python = checkout.root / "python-without-ensurepip"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    run = checkout.venv(PYTHON=str(python))
    assert run.returncode == 1
    assert "apt install python3-venv" in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A copy of the product whose .venv is the one that runs this test."""
    root = prepared_product(tmp_path)
    shutil.copy(ROOT / "Makefile", root)
    shutil.copy(ROOT / ".env.example", root)
    (root / ".venv").symlink_to(Path(sys.prefix))
    (root / "requirements").mkdir()
    (root / "requirements/venv.sh").write_text("#!/bin/sh\n")
    (root / "requirements/venv.sh").chmod(0o755)
    return root


def test_dotenv_gets_a_fresh_key_and_is_never_overwritten(product: Path) -> None:
    make = ["make", "--silent", ".env"]
    subprocess.run(make, cwd=product, env=clean_environment(), check=True)
    dotenv = product / ".env"
    written = dotenv.read_text()
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    (key,) = re.findall(r"^SECRET_KEY=(.+)$", written, re.MULTILINE)
    assert len(key) >= 50
    assert written.replace(key, "", 1) == (product / ".env.example").read_text()

    subprocess.run(make, cwd=product, env=clean_environment(), check=True)
    assert dotenv.read_text() == written
    dotenv.unlink()
    subprocess.run(make, cwd=product, env=clean_environment(), check=True)
    assert key not in dotenv.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_make_run_serves_until_stopped(product: Path, number: signal.Signals) -> None:
    one = {"WEB_CONCURRENCY": "1"}
    with heeded(), Product(product, one, ["make", "run"]) as running:
        running.wait_until_ready()
        # Ctrl-C goes to the whole foreground group; a service manager signals make alone.
        send = os.killpg if number == signal.SIGINT else os.kill
        send(running.process.pid, number)
        running.process.wait(timeout=WITHIN_S)
        assert not running.answers()
        assert "Shutting down: Master" in running.log.read_text()


class Tools:
    """A folder with the Makefile whose tools only write down how they were called.

    Args:
        failing: the one that fails.
    """

    def __init__(self, root: Path, failing: str = "") -> None:
        self.root, self.calls = root, root / "calls"
        shutil.copy(ROOT / "Makefile", root)
        tools = re.findall(r"\.venv/bin/([\w-]+)", (root / "Makefile").read_text())
        scripts = ["tests/system_packages.sh", "requirements/venv.sh"]
        for name in [*(f".venv/bin/{tool}" for tool in tools), *scripts]:
            tool = root / name
            tool.parent.mkdir(parents=True, exist_ok=True)
            status = int(tool.name == failing)
            tool.write_text(f'#!/bin/sh\necho "{tool.name} $*" >>{self.calls}\nexit {status}\n')
            tool.chmod(0o755)

    def check(self) -> int:
        make = ["make", "--silent", "check"]
        return subprocess.run(make, cwd=self.root, env=clean_environment()).returncode


def test_check_is_lint_and_the_quick_tests(tmp_path: Path) -> None:
    tools = Tools(tmp_path)
    assert tools.check() == 0
    called = tools.calls.read_text().splitlines()
    lint = {call.split()[0] for call in called}
    assert lint >= {"ruff", "mypy", "lint-imports", "djlint"}
    assert "python tests/in_memory.py .venv/bin/python -m tests.everywhere check" in called


@pytest.mark.parametrize("failing", ["ruff", "djlint", "python"])
def test_check_fails_with_what_it_runs(tmp_path: Path, failing: str) -> None:
    assert Tools(tmp_path, failing).check() != 0
