"""The image without an engine: the files that the Dockerfile copies, and how it starts commands.

They lie in a folder that cannot be written, and what runs there has none of root's privileges: what
the product writes outside its volumes and the temporary folder fails here as it would on the
container's read-only root.
"""

import json
import os
import re
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.deployment.laid_out.files import compose, instructions, lay_out_image
from tests.product import KEY, ROOT, clean_environment
from tests.waiting import WITHIN_S


@dataclass(frozen=True)
class Image:
    """The laid-out image, and the environment that Compose gives its web service."""

    root: Path
    media: Path
    temporary: Path
    environment: dict[str, str]

    def start(
        self, *command: str, output: int | IO[str] = subprocess.PIPE, **variables: str
    ) -> "subprocess.Popen[str]":
        """Start ``command`` through the entry point, as the engine does."""
        entry_point = json.loads(instructions("ENTRYPOINT")[0])
        return subprocess.Popen(
            [*_without_privileges(), *_ours([*entry_point, *command])],
            cwd=self.root,
            env={**self.environment, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str, **variables: str) -> str:
        """What ``command`` prints; it must succeed."""
        process = self.start(*command, **variables)
        output, _ = process.communicate(timeout=WITHIN_S)
        assert process.returncode == 0, output
        return output


def _without_privileges() -> list[str]:
    return ["setpriv", "--bounding-set=-all"] if os.getuid() == 0 else []


def _ours(command: Sequence[str]) -> list[str]:
    """The image's Python is this one."""
    programs = {"python": [sys.executable], "gunicorn": [sys.executable, "-m", "gunicorn"]}
    return [part for word in command for part in programs.get(word, [word])]


def _protect(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def _unprotect(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)


@contextmanager
def laid_out(folder: Path) -> Iterator[Image]:
    """Built and migrated below ``folder``, while the context is open.

    SQLite stands for MySQL, its own queue for Redis, and the embedded model for the server's.
    """
    for name in ("secrets", "media", "tmp"):
        (folder / name).mkdir()
    (folder / "secrets/secret_key").write_text(secrets.token_urlsafe(50) + "\n")
    given = dict(compose()["services"]["web"]["environment"])
    for name in ("QUEUE_URL", "QUEUE_PASSWORD_FILE", "DATABASE_PASSWORD_FILE"):
        del given[name]
    environment = clean_environment(**given) | {
        "SECRET_KEY_FILE": str(folder / "secrets/secret_key"),
        "DATABASE_URL": f"sqlite:///{folder}/media/db.sqlite3",
        "PREDICTOR_URL": "embedded:",
        "MODEL_STORE": str(ROOT / "serving/models"),
        "MEDIA_ROOT": str(folder / "media"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    image = Image(lay_out_image(folder / "app"), folder / "media", folder / "tmp", environment)
    (build,) = (line for line in instructions("RUN") if "collectstatic" in line)
    steps = re.findall(r"python (manage\.py collectstatic [^&]*|-m compileall [^&]*)", build)
    assert len(steps) == 2
    for step in steps:
        subprocess.run(
            [sys.executable, *step.split()],
            cwd=image.root,
            env=clean_environment(SECRET_KEY=KEY),
            check=True,
            stdout=subprocess.DEVNULL,
        )
    _protect(image.root)
    image.run(*compose()["services"]["migrate"]["command"])
    yield image
    _unprotect(image.root)
