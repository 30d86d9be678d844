"""Starts the product as a user would, in a folder of its own."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.servers.mariadb import free_port
from tests.waiting import WITHIN_S

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("webapp", "diagnosis", "patients", "export", "manage.py", "pyproject.toml")
KEY = "a-key-for-tests-and-nothing-else-0123456789"
SETTINGS = "webapp.settings"
# What a first start of `serve` does before it makes the demonstration's user.
PREPARE = """
import django
from webapp.private_files import private_from_now_on
private_from_now_on()
django.setup()
from django.core.management import call_command
from diagnosis.management.commands.serve import Command
call_command("migrate", verbosity=0, skip_checks=True)
Command()._prepare_static()
"""


@dataclass(frozen=True)
class Served:
    """Where the product answers, who may sign in, and the folder it runs in."""

    url: str
    user: str
    password: str
    root: Path


def copy_product(target: Path) -> Path:
    """Copy the product's code, so that it has neither this folder's .env nor its var/."""
    return _copy(ROOT, target, shutil.ignore_patterns("__pycache__"))


def prepared_product(target: Path) -> Path:
    """As ``copy_product``, with a migrated database and static files, so that it starts sooner."""
    prepared = template()
    shutil.copytree(prepared / "var", target / "var")
    return _copy(prepared, target)


def _copy(source: Path, target: Path, ignore: Callable[..., set[str]] | None = None) -> Path:
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, ignore=ignore)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / part, target / part)
    (target / "serving").symlink_to(ROOT / "serving")
    return target


@cache
def template() -> Path:
    """A prepared copy of the code as it is now, made once for all processes of a run."""
    place = Path(tempfile.gettempdir()) / f"product-{os.getuid()}-{_digest()}"
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            part = Path(f"{place}.part")
            shutil.rmtree(part, ignore_errors=True)  # of a run that was interrupted
            copy_product(part)
            for command in (["-m", "compileall", "-q", "."], ["-c", PREPARE]):
                variables = clean_environment(SECRET_KEY=KEY, DJANGO_SETTINGS_MODULE=SETTINGS)
                subprocess.run([sys.executable, *command], cwd=part, env=variables, check=True)
            part.rename(place)
    return place


def _digest() -> str:
    """Another one whenever a file of the product is added, removed, renamed or edited."""
    digest = hashlib.sha256()
    for part in PARTS:
        for path in sorted([ROOT / part, *(ROOT / part).rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


# More threads than one wait for one another while other tests have the processors.
FEW_THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def clean_environment(**variables: str) -> dict[str, str]:
    """Only what a process needs to run, and ``variables``."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **FEW_THREADS, "PYTHONUNBUFFERED": "1", **variables}


class Product:
    """``manage.py serve`` (or what ``command`` says) on a free port; a context that ends it.

    Without the demonstration, whose drawing would keep the processors busy, unless it is asked for.

    Attributes:
        process: the one foreground process.
        log: the file with everything that it and its children print.
    """

    def __init__(
        self,
        root: Path,
        variables: dict[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "manage.py", "serve"),
    ) -> None:
        self.root = root
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = root / "log"
        self._command = list(command)
        self._environment = clean_environment(
            SECRET_KEY=KEY,
            PORT=str(self.port),
            **{"DEMONSTRATION": "false", **(variables or {})},
        )

    def __enter__(self) -> "Product":
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command,
                start_new_session=True,  # as a shell gives each job its own process group
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=WITHIN_S)

    def wait_until_ready(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended or took too long; with its output.
        """
        deadline = time.monotonic() + WITHIN_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The product did not start:\n{self.log.read_text()}")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Whether the web server answers now."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False
