"""docs/operations.md: its commands work, or are at least commands of this product."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands

from export.__main__ import main as export_main
from tests.deployment.files import manifests
from tests.product import KEY, ROOT, clean_environment, copy_product

MANUAL = (ROOT / "docs/operations.md").read_text()
# Kind and text of each block, at any indentation.
BLOCKS = re.findall(r"(?ms)^ *```([^\n]*)\n(.*?)^ *```$", MANUAL)
RUN, ENGINE = "sh", "sh engine"


def blocks(*kinds: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind in kinds]


def test_every_block_is_of_a_known_kind() -> None:
    assert MANUAL.count("```") == 2 * len(BLOCKS)
    assert {kind for kind, _ in BLOCKS} == {RUN, ENGINE, "yaml"}
    without = re.sub(r"(?ms)^ *```.*?^ *```$", "", MANUAL)
    assert not re.search(r"(?m)^(    |\t)\S", without), "an indented block is of no kind"


def test_what_needs_an_engine_says_so() -> None:
    for text in blocks(RUN):
        assert not re.search(r"\b(docker|kubectl|rsync|git pull)\b", text), text
    for text in blocks(ENGINE):
        assert re.search(r"\b(docker|kubectl|rsync|git pull)\b", text), f"could be run: {text}"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone, as the manual asks for, with the Python packages in its .venv."""
    folder = copy_product(tmp_path_factory.mktemp("manual"))
    (folder / "serving").unlink()
    shutil.copytree(ROOT / "serving", folder / "serving")
    (folder / ".venv/bin").mkdir(parents=True)
    python = folder / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return folder


def test_commands_without_an_engine_work_in_their_order(scratch: Path) -> None:
    script = "\n".join(blocks(RUN))
    for _ in range(2):  # what exists is kept
        keys = scratch / "var/secrets/secret_key"
        before = keys.read_text() if keys.exists() else None
        run = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=scratch,
            env=clean_environment(SECRET_KEY=KEY),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, run.stderr
        assert before in (None, keys.read_text())

    folder = scratch / "var/secrets"
    named = {Path(s["file"]).name for s in _compose_secrets().values()}
    assert {path.name for path in folder.iterdir()} == named
    assert oct(folder.stat().st_mode)[-3:] == "700"
    for path in folder.iterdir():
        assert oct(path.stat().st_mode)[-3:] == "444", "the containers' users can read it"
        assert len(path.read_text()) > 32
    assert "sha256" in run.stdout, "the list of versions"
    assert (scratch / "serving/models/all_smear/live.json").read_text() == (
        ROOT / "serving/models/all_smear/live.json"
    ).read_text(), "rolled back and promoted again"


def _compose_secrets() -> dict[str, dict[str, str]]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"])


def test_adapted_manifests_name_nothing_of_the_examples(scratch: Path) -> None:
    """Runs after the commands: the manual's `sed` must have found everything."""
    text = "".join(path.read_text() for path in (scratch / "serving/kubernetes").glob("*.yaml"))
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
