"""Which versions are published and live; promotion and rollback.

``live.json`` is the only truth. ``models.config`` beside the store is generated from it for
TensorFlow Serving, which would otherwise serve the latest version and unload the pinned one.
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from diagnosis.core import files
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import ModelContract, graph_digest
from diagnosis.core.predictors.seal import check_seal
from diagnosis.core.predictors.store import (
    Live,
    live_path,
    published_versions,
    read_live,
    version_dir,
)
from export.publishing.readable import check_readable

CONTAINER_STORE = "/models"  # where docker-compose mounts the store for TensorFlow Serving
Say = Callable[[str], None]


def _wait_for_nobody(version: int) -> None:
    """No model server has to load it."""


def _say_nothing(line: str) -> None:
    """Nobody reads along."""


def promote(
    store: Path,
    name: str,
    version: int,
    wait: Callable[[int], None] = _wait_for_nobody,
    say: Say = _say_nothing,
) -> Live:
    """Make ``version`` the stable one; the stable one so far becomes ``previous``.

    ``models.config`` is written first, naming the old versions and the new one; then ``wait`` is
    called, which returns when model servers have loaded the new one; ``live.json`` comes last.
    Promoting what is stable already changes no role.

    Raises:
        ContractError: the version is not sound (``check_version``).
    """
    with locked(store, name):
        before = read_live(store, name) if live_path(store, name).exists() else None
        if before is None:
            after = Live(stable=version)
        elif before.stable == version:
            after = before
        else:
            after = Live(stable=version, previous=before.stable)
        return _switch(store, name, after, say, keep=before, wait=lambda: wait(version))


def rollback(store: Path, name: str, say: Say = _say_nothing) -> Live:
    """Swap ``stable`` and ``previous``; a canary is withdrawn.

    Raises:
        ContractError: there is no previous version, or it is not sound.
    """
    with locked(store, name):
        live = read_live(store, name)
        if live.previous is None:
            raise ContractError(
                f"Version {live.stable} of {name} has no previous version to roll back to; "
                "promote one with `python -m export promote N`."
            )
        return _switch(store, name, Live(stable=live.previous, previous=live.stable), say)


def set_canary(
    store: Path,
    name: str,
    version: int | None,
    wait: Callable[[int], None] = _wait_for_nobody,
    say: Say = _say_nothing,
) -> Live:
    """Put ``version`` on trial beside the stable one, or with ``None`` withdraw what is.

    ``CANARY_SHARE`` and ``SHADOW`` of the product say what part it takes.

    Raises:
        ContractError: nothing is live, the version is the stable one, or one of both is not sound.
    """
    with locked(store, name):
        live = read_live(store, name)
        after = Live(stable=live.stable, canary=version, previous=live.previous)
        if version is None:
            return _switch(store, name, after, say)
        if version == live.stable:
            raise ContractError(f"Version {version} is the stable one already.")
        check_version(store, name, version)
        return _switch(store, name, after, say, keep=live, wait=lambda: wait(version))


def forget(store: Path, name: str, version: int, say: Say = _say_nothing) -> Live:
    """Let ``version`` be neither ``previous`` nor ``canary`` any more; its files stay.

    It need not be sound, nor there: a server that starts would wait for it in vain.

    Raises:
        ContractError: it is the stable one or has no role, or the stable one is not sound.
    """
    with locked(store, name):
        live = read_live(store, name)
        if version == live.stable:
            raise ContractError(
                f"Version {version} is the stable one; promote another or roll back first."
            )
        if version not in named(live):
            raise ContractError(
                f"Version {version} is neither previous nor canary: no server is told to load it."
            )
        return _switch(store, name, _without(live, {version}), say)


def describe(store: Path, name: str) -> list[str]:
    """One line for every published version: number, role, architecture, accuracy, digest.

    Of one that is not sound it says why instead.
    """
    live = read_live(store, name) if live_path(store, name).exists() else None
    lines = []
    for version in published_versions(store, name):
        roles = [] if live is None else [r for r, n in _roles(live).items() if n == version]
        try:
            contract = check_version(store, name, version)
        except (ContractError, OSError) as error:
            lines.append(f"{version}  {','.join(roles) or '-':9} not sound: {error}")
            continue
        accuracy = contract.metrics.get("calibration", {}).get("accuracy", {})
        measured = f"{accuracy['value']:.2%} of {accuracy['n']}" if accuracy else "not measured"
        lines.append(
            f"{version}  {','.join(roles) or '-':9} {contract.architecture}  "
            f"calibration accuracy {measured}  sha256 {contract.digest[:12]}"
        )
    return lines


def check_version(store: Path, name: str, version: int) -> ModelContract:
    """The contract of a sound version: whole, as published, and open to the model server.

    Raises:
        ContractError: it is not; says which file is missing, changed or closed.
    """
    if version not in published_versions(store, name):
        known = ", ".join(map(str, published_versions(store, name))) or "none"
        raise ContractError(f"Version {version} of {name} is not published (there is: {known}).")
    check_readable(store, name, version)
    folder = version_dir(store, name, version)
    contract = ModelContract.load(folder)
    if (contract.name, contract.version) != (name, version):
        raise ContractError(
            f"{folder} holds version {contract.version} of {contract.name}; do not rename "
            "version directories, publish again."
        )
    check_seal(folder)
    if graph_digest(folder) != contract.graph_digest:
        raise ContractError(f"{folder} does not match its contract; publish it again.")
    return contract


@contextmanager
def locked(store: Path, name: str) -> Iterator[None]:
    """Hold the model's directory for one writer; another waits."""
    folder = store / name
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder):
        yield


def models_config(name: str, versions: Collection[int]) -> str:
    """TensorFlow Serving's configuration: exactly these versions."""
    lines = "".join(f"        versions: {number}\n" for number in sorted(versions))
    return (
        "# Generated by `python -m export promote` from live.json; do not edit.\n"
        "model_config_list {\n"
        "  config {\n"
        f'    name: "{name}"\n'
        f'    base_path: "{CONTAINER_STORE}/{name}"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy {\n"
        "      specific {\n"
        f"{lines}"
        "      }\n"
        "    }\n"
        "  }\n"
        "}\n"
    )


def named(live: Live) -> set[int]:
    """Every version that has a role."""
    return {number for number in _roles(live).values() if number is not None}


def _switch(
    store: Path,
    name: str,
    live: Live,
    say: Say,
    keep: Live | None = None,
    wait: Callable[[], None] = lambda: None,
) -> Live:
    """Let servers load what ``live`` names beside what ``keep`` names, then make it the truth.

    A server opens its port when all that it is told to load is loaded: whatever is not sound is
    left out, and has no role any more. Versions that no role names are unloaded at last, when no
    client asks for them.

    Returns:
        What is live now.

    Raises:
        ContractError: the stable version is not sound; nothing was changed.
    """
    try:
        check_version(store, name, live.stable)
    except ContractError as error:
        raise ContractError(f"Version {live.stable} cannot be the stable one: {error}") from error
    every = named(live) | named(keep or live)
    unsound = _unsound(store, name, every - {live.stable})
    for role, number in _roles(live).items():
        if number in unsound:
            say(f"version {number} is left out and no longer {role}: {unsound[number]}")
    before, after = _without(keep or live, unsound), _without(live, unsound)
    config, truth = store.parent / "models.config", live_path(store, name)
    _replace(config, models_config(name, every - unsound.keys()).encode())
    try:
        wait()
    except BaseException:  # a version that no server can load must not stay in their way
        if keep is not None:
            _replace(truth, before.to_json())
        _replace(config, models_config(name, named(before)).encode())
        raise
    _replace(truth, after.to_json())
    _replace(config, models_config(name, named(after)).encode())
    return after


def _unsound(store: Path, name: str, versions: Collection[int]) -> dict[int, str]:
    """Which of the versions a server must not be told to load, and why."""
    problems = {}
    for version in sorted(versions):
        try:
            check_version(store, name, version)
        except (ContractError, OSError) as error:
            problems[version] = str(error)
    return problems


def _without(live: Live, versions: Collection[int]) -> Live:
    """``live`` but for these as canary or previous."""
    return replace(
        live,
        canary=None if live.canary in versions else live.canary,
        previous=None if live.previous in versions else live.previous,
    )


def _roles(live: Live) -> dict[str, int | None]:
    return {"stable": live.stable, "canary": live.canary, "previous": live.previous}


def _replace(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one.

    Whatever the umask, servers and web may read it, who are other users.
    """
    with files.replacing(path, path.with_name(f".{path.name}.new")) as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
