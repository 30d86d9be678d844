"""The four locks are complete, agree with each other, and name no host."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.product import ROOT

LOCKS = ("run", "mysql", "production", "ml", "dev")


def pins(lock: str) -> dict[str, set[tuple[str, str]]]:
    """Name of each package to its pins: version, and the marker of what it is for."""
    found: dict[str, set[tuple[str, str]]] = {}
    for line in (ROOT / f"requirements/{lock}.txt").read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.rstrip("\\ "))
            name = canonicalize_name(requirement.name)
            pin = (str(requirement.specifier), str(requirement.marker or ""))
            found.setdefault(name, set()).add(pin)
    return found


def wanted(source: str) -> set[str]:
    """Names that a .in file asks for itself."""
    lines = (ROOT / f"requirements/{source}.in").read_text().splitlines()
    return {
        canonicalize_name(Requirement(line).name)
        for line in lines
        if line and not line.startswith(("#", "-r"))
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_exact_and_hashed(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) == sum(len(versions) for versions in pins(lock).values()) > 20
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_host(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.txt").read_text()
    assert "://" not in text
    assert "index-url" not in text
    assert "find-links" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_what_its_source_asks_for(lock: str) -> None:
    assert wanted(lock) <= pins(lock).keys()


@pytest.mark.parametrize("lock", LOCKS[:-1])
def test_locks_agree(lock: str) -> None:
    union = pins("dev")
    for name, versions in pins(lock).items():
        for version, marker in versions:
            # Where dev.txt pins it everywhere, a smaller lock may need it in fewer places.
            assert {(version, marker), (version, "")} & union[name], name


def test_run_needs_no_tensorflow_and_no_compiler() -> None:
    assert pins("run").keys() & {"tensorflow-cpu", "tensorflow", "keras", "mysqlclient"} == set()
    assert "tensorflow-cpu" in pins("ml")
    assert "mysqlclient" in pins("mysql")


def test_linters_target_the_lowest_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    low = re.match(r">=3\.(\d+)", project["project"]["requires-python"])[1]
    assert project["tool"]["ruff"]["target-version"] == f"py3{low}"
    assert project["tool"]["mypy"]["python_version"] == f"3.{low}"
