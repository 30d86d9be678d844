import json
from pathlib import Path

import pytest

from diagnosis.core.errors import ContractError
from diagnosis.core.predictors.store import (
    Live,
    live_path,
    published_versions,
    read_live,
    version_dir,
)

NAME = "all_smear"


def _write(store: Path, content: bytes) -> None:
    path = live_path(store, NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("live", [Live(3), Live(3, canary=4), Live(3, canary=4, previous=2)])
def test_what_is_written_is_read_back(tmp_path: Path, live: Live) -> None:
    _write(tmp_path, live.to_json())
    assert read_live(tmp_path, NAME) == live
    assert json.loads(live.to_json())["stable"] == 3


def test_without_a_promoted_version_it_says_how_to_promote(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="python -m export promote"):
        read_live(tmp_path, NAME)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"1", b"{}", b'{"stable": null}', b'{"stable": "new"}', b"\xff"]
)
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    _write(tmp_path, content)
    with pytest.raises(ContractError, match="malformed"):
        read_live(tmp_path, NAME)


def test_versions_are_folders_named_by_a_number(tmp_path: Path) -> None:
    for name in ("10", "2", "1.tmp", ".3", "04", "latest", "0"):
        (tmp_path / NAME / name).mkdir(parents=True)
    (tmp_path / NAME / "7").write_text("a file")
    assert published_versions(tmp_path, NAME) == [2, 10]
    assert version_dir(tmp_path, NAME, 10).is_dir()


def test_an_empty_store_has_no_versions(tmp_path: Path) -> None:
    assert published_versions(tmp_path, NAME) == []
