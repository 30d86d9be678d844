"""The import contracts of pyproject.toml hold, and each of them can fail."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.product import ROOT, clean_environment

CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
}
# For each contract, an import that breaks it and no other: (file, statement).
BREAKS = {
    "apps": ("patients/services.py", "import diagnosis.core.state"),
    "diagnosis": ("diagnosis/models/case.py", "import diagnosis.cases.services"),
    "core": ("diagnosis/core/formats/decode.py", "import diagnosis.core.pipeline"),
    "rooms of export": ("export/data/dataset.py", "import export.training.runs"),
    "patients": ("patients/models.py", "import patients.services"),
    "pure": ("diagnosis/core/imaging/preprocess.py", "import django.conf"),
    "export": ("diagnosis/operations/health.py", "import export.config"),
    "tensorflow": ("diagnosis/fields/live_model.py", "import keras"),
    "embedded": ("diagnosis/fields/intake.py", "import diagnosis.core.predictors.embedded"),
    "audit": ("webapp/audit/services.py", "import webapp.api.errors"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in ("webapp", "diagnosis", "patients", "export"):
        for source in (ROOT / package).rglob("*.py"):
            target = tmp_path / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(tree: Path) -> set[str]:
    """Names of the contracts that import-linter reports as broken."""
    program = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [program, "--no-cache", "--no-logo"],
        cwd=tree,
        env=clean_environment(NO_COLOR="1", COLUMNS="200"),
        capture_output=True,
        text=True,
    )
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)$", run.stdout, re.MULTILINE))
    assert verdicts.keys() == set(CONTRACTS.values()), run.stdout + run.stderr
    broken = {name for name, verdict in verdicts.items() if verdict == "BROKEN"}
    assert run.returncode == bool(broken)
    return broken


def test_all_contracts_hold(tree: Path) -> None:
    assert broken_contracts(tree) == set()


@pytest.mark.parametrize("contract", CONTRACTS)
def test_contract_fails_when_broken(tree: Path, contract: str) -> None:
    file, statement = BREAKS[contract]
    assert (tree / file).is_file()
    with (tree / file).open("a") as source:
        source.write(f"\n{statement}\n")
    assert broken_contracts(tree) == {CONTRACTS[contract]}


def loaded_modules(statement: str, *names: str) -> list[str]:
    """Which top-level modules of ``names`` a fresh interpreter has loaded after ``statement``."""
    code = f"import sys; {statement}; print(*(n for n in {names!r} if n in sys.modules))"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_environment(DJANGO_SETTINGS_MODULE="tests.settings"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()


def test_screening_core_loads_no_django() -> None:
    core = "import diagnosis.core.pipeline, diagnosis.core.predictors.embedded, numpy"
    assert loaded_modules(core, "django", "tensorflow", "numpy") == ["numpy"]


def test_web_process_loads_no_tensorflow() -> None:
    web = "import webapp.wsgi, webapp.urls"
    assert loaded_modules(web, "tensorflow", "keras", "export", "django") == ["django"]
