"""docs/operations.md: its commands work, or are at least commands of this product."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from export.__main__ import main as export_main
from tests.deployment.laid_out.files import manifests
from tests.product import KEY, ROOT, clean_environment, copy_product
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.xdist_group("manual")

MANUAL = (ROOT / "docs/operations.md").read_text()
# Kind and text of each block, at any indentation.
BLOCKS = re.findall(r"(?ms)^ *```([^\n]*)\n(.*?)^ *```$", MANUAL)
RUN, ENGINE = "sh", "sh engine"


def blocks(*kinds: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind in kinds]


def test_every_block_is_of_a_known_kind() -> None:
    assert MANUAL.count("```") == 2 * len(BLOCKS)
    assert {kind for kind, _ in BLOCKS} == {RUN, ENGINE, "yaml", "sql"}
    without = re.sub(r"(?ms)^ *```.*?^ *```$", "", MANUAL)
    assert not re.search(r"(?m)^(    |\t)\S", without), "an indented block is of no kind"


def test_what_needs_an_engine_says_so() -> None:
    for text in blocks(RUN):
        assert not re.search(r"\b(docker|kubectl|rsync|git pull)\b", text), text
    for text in blocks(ENGINE):
        assert re.search(r"\b(docker|kubectl|rsync|git pull)\b", text), f"could be run: {text}"


@dataclass(frozen=True)
class CarriedOut:
    """A clone in which the manual's commands were carried out, and what they said at first."""

    root: Path
    said: str
    keys: tuple[str, ...]


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> CarriedOut:
    """All commands that need no engine, in their order, twice: what exists must be kept.

    Not those of published versions the second time: they end where they began.
    """
    root = copy_product(tmp_path_factory.mktemp("manual"))
    (root / "serving").unlink()
    shutil.copytree(ROOT / "serving", root / "serving")
    python = root / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    said, keys = [], []
    lasting = [text for text in blocks(RUN) if "-m export" not in text]
    for commands in (blocks(RUN), lasting):
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],
            cwd=root,
            env=clean_environment(SECRET_KEY=KEY),
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
        )
        assert run.returncode == 0, run.stderr
        said.append(run.stdout)
        keys.append((root / "var/secrets/secret_key").read_text())
    return CarriedOut(root, said[0], tuple(keys))


def test_secrets_are_made_once_and_closed_to_others(carried_out: CarriedOut) -> None:
    assert carried_out.keys[0] == carried_out.keys[1]
    folder = carried_out.root / "var/secrets"
    secrets = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"]
    assert {f"./var/secrets/{path.name}" for path in folder.iterdir()} == {
        found["file"] for found in secrets.values()
    }
    assert oct(folder.stat().st_mode)[-3:] == "700"
    for path in folder.iterdir():
        assert oct(path.stat().st_mode)[-3:] == "444", "the containers' users can read it"
        assert len(path.read_text()) > 32


def test_versions_are_listed_rolled_back_and_promoted(carried_out: CarriedOut) -> None:
    live = "serving/models/all_smear/live.json"
    assert (carried_out.root / live).read_text() == (ROOT / live).read_text()
    stable = re.findall(r"(?m)^(\d+)  stable .*sha256", carried_out.said)
    assert stable[:3] == ["2", "1", "2"]


def test_adapted_manifests_name_nothing_of_the_examples(carried_out: CarriedOut) -> None:
    folder = carried_out.root / "serving/kubernetes"
    text = "".join(path.read_text() for path in folder.glob("*.yaml"))
    assert not re.search(r"example\.org|192\.0\.2\.10|image: leukemia", text)
    assert text.count("registry.hospital.example/leukemia-detection:") == 3


@pytest.mark.parametrize("text", blocks(ENGINE))
def test_command_with_an_engine_is_a_shell_command(text: str) -> None:
    run = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
    assert run.stderr == ""


def test_commands_of_the_product_exist() -> None:
    for text in blocks(RUN, ENGINE):
        for name in re.findall(r"manage\.py (\w+)", text):
            assert name in get_commands(), name
        for name in re.findall(r"-m export (\w+)", text):
            with pytest.raises(SystemExit) as ended:
                export_main([name, "--help"])
            assert ended.value.code == 0


def test_files_and_names_exist() -> None:
    text = "\n".join(blocks(ENGINE))
    applied = re.findall(r"-f (serving/kubernetes/\S+\.yaml)", text)
    assert set(applied) == {
        str(path.relative_to(ROOT)) for path in (ROOT / "serving/kubernetes").glob("*.yaml")
    }, "each manifest is applied somewhere"
    known = {(m["kind"], m["metadata"]["name"]) for m in manifests()}
    for kind, name in re.findall(r"\b(deploy|job)/(\w+)", text):
        assert ({"deploy": "Deployment", "job": "Job"}[kind], name) in known
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for line in re.findall(r"docker compose (?:run --rm|exec|logs|ps --quiet) (\w+)", MANUAL):
        assert line in services
    for name in re.findall(r"--scale (\w+)=", text):
        assert name in services


@pytest.mark.parametrize("text", blocks("yaml"))
def test_examples_are_yaml(text: str) -> None:
    assert isinstance(yaml.safe_load(text), dict)


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"(?m)^#+ (.+)$", MANUAL)
    }
    for target in re.findall(r"\]\(([^)]+)\)", MANUAL):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert os.path.exists(ROOT / "docs" / target), target
