"""Rooms and files stay small enough to be taken in at a glance."""

import subprocess
from collections import Counter
from pathlib import PurePath

import pytest

from tests.product import ROOT

LINES = 400
MODULES = 12
WRITTEN_BY_HAND = {".css", ".html", ".js", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"}
# By command or in order: each file is looked for by its name alone.
LISTS = ("management/commands", "migrations")
# A manual is read by its table of contents; what commands write and the changelog only grow.
LONG = {"CHANGELOG.md", "docs/operations.md", "docs/benchmark.md", "docs/validation.md"}


def tracked() -> list[PurePath]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [PurePath(line) for line in listed.splitlines() if (ROOT / line).is_file()]


def too_long(files: list[PurePath], limit: int = LINES) -> dict[str, int]:
    counted = {
        str(path): len((ROOT / path).read_text("utf-8").splitlines())
        for path in files
        if path.suffix in WRITTEN_BY_HAND and str(path) not in LONG
    }
    return {path: lines for path, lines in counted.items() if lines > limit}


def too_full(files: list[PurePath]) -> dict[str, int]:
    modules = Counter(
        str(path.parent)
        for path in files
        if path.suffix == ".py" and path.name not in ("__init__.py", "conftest.py")
    )
    return {
        folder: number
        for folder, number in modules.items()
        if number > MODULES and not folder.endswith(LISTS)
    }


def test_no_file_is_too_long() -> None:
    assert too_long(tracked()) == {}


def test_no_folder_holds_too_many_modules() -> None:
    assert too_full(tracked()) == {}


@pytest.mark.parametrize(("folder", "found"), [("x", {"x": MODULES + 1}), ("x/migrations", {})])
def test_one_module_too_many_is_found(folder: str, found: dict[str, int]) -> None:
    assert too_full([PurePath(folder, f"m{n}.py") for n in range(MODULES + 1)]) == found


def test_a_long_file_is_found() -> None:
    assert "tests/architecture/test_sizes.py" in too_long(tracked(), limit=10)
