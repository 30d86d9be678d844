import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from diagnosis.core.errors import ContractError
from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import Live, published_versions, read_live
from export.publishing import readable, registry
from export.publishing.model_server import NotServedError

NAME = "all_smear"
Damage = Callable[[Path], object]


def close(folder: Path) -> None:
    """As ``umask 077`` or a careless copy leaves it."""
    (folder / "variables").chmod(0o700)


# What happens to a version's folder, and what is said of it.
DAMAGES: dict[str, tuple[Damage, str]] = {
    "closed folder": (close, r"variables cannot be read by .* user \(10001\); run `chmod -R a\+rX"),
    "closed file": (
        lambda folder: (folder / "saved_model.pb").chmod(0o600),
        r"saved_model\.pb cannot be read by the model server's user",
    ),
    "missing file": (
        lambda folder: (folder / "saved_model.pb").unlink(),
        r"saved_model\.pb is missing",
    ),
    "changed file": (
        lambda folder: (folder / "saved_model.pb").write_bytes(b"half a mod"),
        r"saved_model\.pb has another checksum",
    ),
    "no contract": (
        lambda folder: (folder / "assets.extra/contract.json").unlink(),
        r"contract\.json cannot be read",
    ),
    "no folder": (shutil.rmtree, "is not published"),
}
damages = pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)


def told_to_load(store: Path) -> list[int]:
    """The versions that ``models.config`` names."""
    text = (store.parent / "models.config").read_text()
    return [int(line.split()[1]) for line in text.splitlines() if "versions:" in line]


@pytest.fixture
def store(published: Path, tmp_path: Path) -> Path:
    """A store with three copies of the published version, each with its own number."""
    folder = tmp_path / "serving/models"
    for version in (1, 2, 3):
        copy = folder / NAME / str(version)
        shutil.copytree(published, copy)
        contract = copy / "assets.extra/contract.json"
        contract.write_text(json.dumps(json.loads(contract.read_text()) | {"version": version}))
        seal(copy)
    return folder


def test_promotion_keeps_the_version_before_as_previous(store: Path) -> None:
    assert registry.promote(store, NAME, 1) == Live(stable=1)
    assert registry.promote(store, NAME, 2) == Live(stable=2, previous=1)
    assert registry.promote(store, NAME, 3) == Live(stable=3, previous=2)
    assert read_live(store, NAME) == Live(stable=3, previous=2)


def test_promoting_the_stable_version_again_keeps_the_way_back(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)
    assert registry.promote(store, NAME, 2) == Live(stable=2, previous=1)


def test_rollback_swaps_and_swaps_back(store: Path) -> None:
    registry.promote(store, NAME, 1)
    with pytest.raises(ContractError, match="no previous version"):
        registry.rollback(store, NAME)
    registry.promote(store, NAME, 2)
    assert registry.rollback(store, NAME) == Live(stable=1, previous=2)
    assert registry.rollback(store, NAME) == Live(stable=2, previous=1)


def test_models_config_pins_exactly_what_is_live(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 3)
    text = (store.parent / "models.config").read_text()
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == (NAME, "/models/all_smear")
    assert model.model_platform == "tensorflow"
    assert list(model.model_version_policy.specific.versions) == [1, 3]


def test_what_is_not_published_cannot_be_promoted(store: Path) -> None:
    (store / NAME / ".publishing-abc").mkdir()
    with pytest.raises(ContractError, match=r"not published \(there is: 1, 2, 3\)"):
        registry.promote(store, NAME, 4)
    assert published_versions(store, NAME) == [1, 2, 3]


def test_a_version_with_other_weights_cannot_be_promoted(store: Path) -> None:
    weights = next((store / NAME / "2/variables").glob("*.data-*"))
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    registry.promote(store, NAME, 1)
    with pytest.raises(ContractError, match=r"variables\.data-\S+ has another checksum"):
        registry.promote(store, NAME, 2)
    seal(store / NAME / "2")
    with pytest.raises(ContractError, match="does not match its contract"):
        registry.promote(store, NAME, 2)
    assert read_live(store, NAME) == Live(stable=1)


def test_a_renamed_version_directory_cannot_be_promoted(store: Path) -> None:
    (store / NAME / "3").rename(store / NAME / "7")
    with pytest.raises(ContractError, match="do not rename"):
        registry.promote(store, NAME, 7)


def test_a_crash_while_writing_leaves_the_old_truth(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(store, NAME, 1)

    def crash(source: Path, target: Path) -> None:
        if Path(target).name == "live.json":
            raise KeyboardInterrupt
        Path(source).rename(target)

    monkeypatch.setattr(registry.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        registry.promote(store, NAME, 2)
    assert read_live(store, NAME) == Live(stable=1)
    assert "versions: 1\n" in (store.parent / "models.config").read_text()


def test_list_names_roles_and_accuracy(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)
    lines = registry.describe(store, NAME)
    assert [line.split()[:2] for line in lines] == [["1", "previous"], ["2", "stable"], ["3", "-"]]
    assert all("%" in line for line in lines)


def test_servers_load_the_new_version_before_clients_ask_for_it(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)

    def wait(version: int) -> None:
        assert version == 3
        assert read_live(store, NAME) == Live(stable=2, previous=1)
        text = (store.parent / "models.config").read_text()
        assert [line.split()[1] for line in text.splitlines() if "versions:" in line] == [*"123"]

    assert registry.promote(store, NAME, 3, wait) == Live(stable=3, previous=2)
    assert "versions: 1\n" not in (store.parent / "models.config").read_text()


def test_a_server_that_does_not_load_it_leaves_the_stable_version(store: Path) -> None:
    registry.promote(store, NAME, 1)

    def wait(version: int) -> None:
        raise NotServedError("no")

    with pytest.raises(NotServedError):
        registry.promote(store, NAME, 2, wait)
    assert read_live(store, NAME) == Live(stable=1)
    assert "versions: 2\n" not in (store.parent / "models.config").read_text()


def test_a_canary_stands_beside_what_is_live(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)
    waited: list[int] = []
    assert registry.set_canary(store, NAME, 3, waited.append) == Live(2, canary=3, previous=1)
    assert waited == [3]
    text = (store.parent / "models.config").read_text()
    assert [line.split()[1] for line in text.splitlines() if "versions:" in line] == [*"123"]
    assert registry.set_canary(store, NAME, None) == Live(2, previous=1)
    assert "versions: 3\n" not in (store.parent / "models.config").read_text()


def test_a_canary_that_is_promoted_is_no_canary_any_more(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.set_canary(store, NAME, 2)
    assert registry.promote(store, NAME, 2) == Live(2, previous=1)


@pytest.mark.parametrize(("version", "why"), [(1, "stable one already"), (9, "not published")])
def test_what_cannot_be_a_canary(store: Path, version: int, why: str) -> None:
    registry.promote(store, NAME, 1)
    with pytest.raises(ContractError, match=why):
        registry.set_canary(store, NAME, version)
    assert read_live(store, NAME) == Live(1)


def test_a_canary_that_no_server_loads_is_none(store: Path) -> None:
    registry.promote(store, NAME, 1)

    def wait(version: int) -> None:
        raise NotServedError("no")

    with pytest.raises(NotServedError):
        registry.set_canary(store, NAME, 2, wait)
    assert read_live(store, NAME) == Live(1)
    assert "versions: 2\n" not in (store.parent / "models.config").read_text()


@damages
def test_what_is_not_sound_is_not_promoted_and_no_server_is_asked(
    store: Path, damage: Damage, says: str
) -> None:
    registry.promote(store, NAME, 1)
    damage(store / NAME / "2")
    asked: list[int] = []
    for command in (registry.promote, registry.set_canary):
        with pytest.raises(ContractError, match=says):
            command(store, NAME, 2, asked.append)
    assert asked == []
    assert read_live(store, NAME) == Live(1)
    assert told_to_load(store) == [1]


@damages
def test_a_damaged_previous_version_and_canary_are_left_out_at_the_next_command(
    store: Path, damage: Damage, says: str
) -> None:
    """No server is told to load them, not even while the new one is waited for."""
    registry.promote(store, NAME, 2)
    registry.promote(store, NAME, 1)
    damage(store / NAME / "2")
    said: list[str] = []

    def wait(version: int) -> None:
        assert told_to_load(store) == [1, 3]

    assert registry.set_canary(store, NAME, 3, wait, said.append) == Live(1, canary=3)
    assert told_to_load(store) == [1, 3]
    (line,) = said
    assert line.startswith("version 2 is left out and no longer previous: ")
    assert re.search(says, line)
    damage(store / NAME / "3")
    assert registry.promote(store, NAME, 1, say=said.append) == Live(1)
    assert said[1].startswith("version 3 is left out and no longer canary: ")
    assert told_to_load(store) == [1]


@damages
def test_from_a_damaged_stable_version_one_gets_away(
    store: Path, damage: Damage, says: str
) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)
    damage(store / NAME / "2")
    for command in (
        lambda: registry.set_canary(store, NAME, None),
        lambda: registry.forget(store, NAME, 1),
        lambda: registry.promote(store, NAME, 2),
    ):
        with pytest.raises(ContractError, match=f"Version 2 cannot be the stable one: .*{says}"):
            command()
    assert read_live(store, NAME) == Live(2, previous=1)
    live = (store / NAME / "live.json").read_bytes()
    assert registry.rollback(store, NAME) == Live(1)
    assert told_to_load(store) == [1]
    (store / NAME / "live.json").write_bytes(live)
    assert registry.promote(store, NAME, 3) == Live(3)
    assert told_to_load(store) == [3]


def test_a_server_that_loads_nothing_new_is_not_told_to_load_what_is_damaged(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)
    close(store / NAME / "1")

    def wait(version: int) -> None:
        raise NotServedError("no")

    with pytest.raises(NotServedError):
        registry.promote(store, NAME, 3, wait)
    assert read_live(store, NAME) == Live(2)
    assert told_to_load(store) == [2]


def test_a_version_is_forgotten_as_previous_and_as_canary(store: Path) -> None:
    registry.promote(store, NAME, 1)
    registry.promote(store, NAME, 2)
    registry.set_canary(store, NAME, 3)
    shutil.rmtree(store / NAME / "1")
    assert registry.forget(store, NAME, 1) == Live(2, canary=3) == read_live(store, NAME)
    assert told_to_load(store) == [2, 3]
    assert registry.forget(store, NAME, 3) == Live(2) == read_live(store, NAME)
    assert told_to_load(store) == [2]
    with pytest.raises(ContractError, match="the stable one; promote another or roll back"):
        registry.forget(store, NAME, 2)
    with pytest.raises(ContractError, match="Version 3 is neither previous nor canary"):
        registry.forget(store, NAME, 3)


def test_a_version_of_the_servers_own_user_or_group_is_open_to_it(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(store / NAME / "1")
    monkeypatch.setattr(readable, "SERVER_ID", os.getuid())
    assert registry.promote(store, NAME, 1) == Live(1)
    (store / NAME / "1/variables").chmod(0o077)
    with pytest.raises(ContractError, match="cannot be read"):
        registry.promote(store, NAME, 1)


def test_others_read_what_promote_writes_whatever_the_umask(store: Path) -> None:
    before = os.umask(0o077)
    try:
        registry.promote(store, NAME, 1)
    finally:
        os.umask(before)
    for path in (store / NAME / "live.json", store.parent / "models.config"):
        assert path.stat().st_mode & 0o777 == 0o644


def test_list_says_which_version_is_not_sound(store: Path) -> None:
    registry.promote(store, NAME, 1)
    close(store / NAME / "3")
    lines = registry.describe(store, NAME)
    assert [line.split()[:2] for line in lines] == [["1", "stable"], ["2", "-"], ["3", "-"]]
    assert "not sound" in lines[2]
    assert "chmod -R a+rX" in lines[2]
