"""The image: its Dockerfile, and what the copied files do on a read-only root."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.laid_out.files import compose, copied
from tests.deployment.laid_out.image import Image
from tests.deployment.laid_out.site import wait_for
from tests.product import ROOT
from tests.waiting import WITHIN_S

pytestmark = pytest.mark.xdist_group("image")


def test_dockerfile_has_no_lint() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    run = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_builder_is_sent_what_the_dockerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    first, *taken = [line for line in lines if line[0] in "*!" and "/__" not in line]
    assert first == "*"
    sources = {source for source, _ in copied()} | {"requirements/production.txt"}
    assert {line.removeprefix("!") for line in taken if line[0] == "!"} == sources


def test_image_is_based_on_the_python_of_the_tests() -> None:
    bases = re.findall(r"(?m)^FROM (\S+)", (ROOT / "Dockerfile").read_text())
    assert len(bases) == 2, "built in one stage, run in another"
    (base,) = set(bases)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_configuration_is_fit_for_production(image: Image) -> None:
    said = image.run("python", "manage.py", "check", "--deploy")
    # The decisions of whoever owns the domain, or the proxy's: HSTS of subdomains, preloading,
    # and the redirect to https.
    found = set(re.findall(r"\((\w+\.\w+)\)", said))
    assert found == {"security.W005", "security.W008", "security.W021"}


def test_folder_really_cannot_be_written(image: Image) -> None:
    process = image.start("python", "-c", "open('manage.py', 'a')")
    output, _ = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 1
    assert "Permission denied" in output


def test_worker_starts_and_stops(image: Image) -> None:
    process = image.start(*compose()["services"]["worker"]["command"])
    assert process.stdout is not None
    assert any("Starting worker" in line for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0, output


def test_web_takes_the_place_of_the_entry_point_and_stops_when_asked(
    image: Image, unused_port: int
) -> None:
    command = compose()["services"]["web"]["command"]
    command = [word.replace("0.0.0.0:8000", f"127.0.0.1:{unused_port}") for word in command]
    process = image.start(*command)
    wait_for(unused_port)
    assert b"gunicorn" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 0, output
