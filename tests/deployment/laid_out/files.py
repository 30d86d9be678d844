"""The deployment's files as the tools that use them read them."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.product import ROOT, clean_environment, template

SITE = {
    "ALLOWED_HOSTS": "smears.example.org",
    "CSRF_TRUSTED_ORIGINS": "https://smears.example.org",
}
PRODUCT = ("web", "worker", "migrate")
SECRETS = "/run/secrets/"


def read_compose(**environment: str) -> "subprocess.CompletedProcess[str]":
    """What docker-compose makes of docker-compose.yml, whatever a developer's .env says."""
    return subprocess.run(
        ["docker-compose", "--env-file", ".env.example", "config"],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
    )


@cache
def compose() -> dict[str, Any]:
    """The whole composition, with anchors and defaults resolved."""
    run = read_compose(**SITE)
    assert run.returncode == 0, run.stderr
    parsed: dict[str, Any] = yaml.safe_load(run.stdout.replace("$$", "$"))
    return parsed


@cache
def manifests() -> tuple[dict[str, Any], ...]:
    """Every Kubernetes object."""
    return tuple(
        document
        for path in sorted((ROOT / "serving/kubernetes").glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    )


def manifest(kind: str, name: str) -> dict[str, Any]:
    """The one Kubernetes object of that kind and name."""
    (found,) = (m for m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


@cache
def workloads() -> dict[str, dict[str, Any]]:
    """The pod template of each Deployment and Job, by name."""
    return {
        m["metadata"]["name"]: m["spec"]["template"]
        for m in manifests()
        if m["kind"] in ("Deployment", "Job", "StatefulSet")
    }


def container(workload: str) -> dict[str, Any]:
    """The only container of a workload's pods."""
    (found,) = workloads()[workload]["spec"]["containers"]
    return dict(found)


def flags(arguments: list[str]) -> dict[str, str]:
    """``--name=value`` arguments by name."""
    return dict(a.removeprefix("--").split("=", 1) for a in arguments if "=" in a)


@cache
def instructions(name: str) -> tuple[str, ...]:
    """The arguments of each ``name`` instruction of the Dockerfile's last stage."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    last_stage = text.rpartition("\nFROM ")[2]
    return tuple(re.findall(rf"(?m)^\s*{name} (.+)$", last_stage))


def copied() -> list[tuple[str, str]]:
    """Source in the repository and target in the image, of each COPY."""
    pairs = []
    for words in map(str.split, instructions("COPY")):
        if not words[0].startswith("--from="):
            pairs += [(source, words[-1]) for source in words[:-1]]
    return pairs


def lay_out_image(target: Path) -> Path:
    """Put what the Dockerfile copies where it copies it, below ``target``, with its bytecode."""
    code = template()
    for source, to in copied():
        place = target / to / Path(source).name if to.endswith("/") else target / to
        place.parent.mkdir(parents=True, exist_ok=True)
        if (code / source).is_dir():
            shutil.copytree(code / source, place)
        else:
            shutil.copy2(code / source, place)
    return target


def known_variables() -> set[str]:
    """What settings or entry point read, for tests that look for misspelt or forgotten names."""
    from serving import entrypoint
    from tests.toolchain.test_environment import read_by_the_product

    # QUEUE_URL: the entry point's, and the settings' with django-tasks-rq.
    return (
        read_by_the_product()
        | set(entrypoint.VALUES)
        | set(entrypoint.VALUES.values())
        | set(entrypoint.PASSWORDS.values())
    )
