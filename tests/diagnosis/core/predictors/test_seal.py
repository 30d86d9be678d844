import subprocess
from pathlib import Path

import pytest

from diagnosis.core.errors import ContractError
from diagnosis.core.predictors.seal import SEAL, check_seal, seal


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A sealed folder with two files."""
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "assets.extra/contract.json").write_bytes(b"{}")
    seal(tmp_path)
    return tmp_path


def test_an_untouched_version_passes(version: Path) -> None:
    check_seal(version)


def test_sha256sum_reads_the_seal(version: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", SEAL], cwd=version, check=True)
    assert len((version / SEAL).read_text().splitlines()) == 2


@pytest.mark.parametrize("name", ["saved_model.pb", "assets.extra/contract.json"])
def test_a_changed_file_is_named(version: Path, name: str) -> None:
    (version / name).write_bytes(b"other")
    with pytest.raises(ContractError, match=f"seal: {name} has another checksum"):
        check_seal(version)


def test_an_added_and_a_removed_file_are_named(version: Path) -> None:
    (version / "saved_model.pb").rename(version / "renamed.pb")
    with pytest.raises(ContractError, match=r"renamed\.pb was added, saved_model\.pb is missing"):
        check_seal(version)


@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_without_a_usable_seal_nothing_passes(version: Path, content: str | None) -> None:
    if content is None:
        (version / SEAL).unlink()
    else:
        (version / SEAL).write_text(content)
    with pytest.raises(ContractError, match="publish"):
        check_seal(version)
