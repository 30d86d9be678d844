"""``python -m export`` after ``make run``, which installs no ML package."""

import importlib.util
from typing import Any

import pytest

from export import __main__ as command_line


@pytest.fixture
def _as_after_make_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> Any:
        return None if name in command_line.ML_PACKAGES else importlib.util.find_spec(name)

    monkeypatch.setattr(command_line, "find_spec", find_spec)


@pytest.mark.usefixtures("_as_after_make_run")
@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["imagenet", "x.whl"],
        ["cross-validate", "run"],
        ["benchmark"],
        ["benchmark", "--render"],
        ["publish", "run"],
        ["evaluate"],
        ["validation"],
    ],
    ids=" ".join,
)
def test_it_says_what_to_run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.endswith("run `make ml`.")
    assert "keras, matplotlib, sklearn, tensorflow missing" in line


@pytest.mark.usefixtures("_as_after_make_run")
def test_what_needs_none_of_them_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["list"]) == 0
    assert "stable" in capsys.readouterr().out


def test_the_packages_are_those_of_the_lock() -> None:
    text = (command_line.config.ROOT / "requirements/ml.in").read_text()
    for name in command_line.ML_PACKAGES:
        assert {"sklearn": "scikit-learn"}.get(name, name) in text


@pytest.mark.parametrize(
    "module",
    [
        "data.dataset",
        "input_checks.fit",
        "publishing.drift_reference",
        "publishing.model_server",
        "publishing.registry",
    ],
)
def test_the_plain_commands_import_none_of_them(module: str) -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        f"for name in {command_line.ML_PACKAGES!r}: sys.modules[name] = None\n"
        f"import export.{module}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
