"""Starts the product as a user would, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.on_mariadb import free_port
from tests.waiting import WITHIN_S

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("webapp", "diagnosis", "patients", "export", "manage.py", "pyproject.toml")
KEY = "a-key-for-tests-and-nothing-else-0123456789"


@dataclass(frozen=True)
class Served:
    """Where the product answers, who may sign in, and the folder it runs in."""

    url: str
    user: str
    password: str
    root: Path


def copy_product(target: Path) -> Path:
    """Copy the product's code, so that it has neither this folder's .env nor its var/."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, target / part, ignore=ignore)
        else:
            shutil.copy(ROOT / part, target / part)
    (target / "serving").symlink_to(ROOT / "serving")
    return target


def clean_environment(**variables: str) -> dict[str, str]:
    """Only what a process needs to run, and ``variables``."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


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
