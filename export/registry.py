"""Which versions are published and live; promotion and rollback.

``live.json`` is the only truth. ``models.config`` beside the store is generated from it for
TensorFlow Serving, which would otherwise serve the latest version and unload the pinned one.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from diagnosis.errors import ContractError
from diagnosis.imaging.contract import ModelContract, graph_digest
from diagnosis.predictors.seal import check_seal
from diagnosis.predictors.store import (
    Live,
    live_path,
    published_versions,
    read_live,
    version_dir,
)

CONTAINER_STORE = "/models"  # where docker-compose mounts the store for TensorFlow Serving


def promote(
    store: Path, name: str, version: int, wait: Callable[[int], None] = lambda version: None
) -> Live:
    """Make ``version`` the stable one; the stable one so far becomes ``previous``.

    ``models.config`` is written first, naming the old versions and the new one; then ``wait`` is
    called, which returns when model servers have loaded the new one; ``live.json`` comes last.
    Promoting what is stable already changes nothing.

    Raises:
        ContractError: the version is not published or does not match its contract.
    """
    with locked(store, name):
        check_version(store, name, version)
        before = read_live(store, name) if live_path(store, name).exists() else None
        if before is None:
            after = Live(stable=version)
        elif before.stable == version:
            after = before
        else:
            after = Live(stable=version, previous=before.stable)
        _switch(store, name, after, keep=before, wait=lambda: wait(version))
    return after


def rollback(store: Path, name: str) -> Live:
    """Swap ``stable`` and ``previous``; a canary is withdrawn.

    Raises:
        ContractError: there is no previous version, or it does not match its contract.
    """
    with locked(store, name):
        live = read_live(store, name)
        if live.previous is None:
            raise ContractError(
                f"Version {live.stable} of {name} has no previous version to roll back to; "
                "promote one with `python -m export promote N`."
            )
        check_version(store, name, live.previous)
        after = Live(stable=live.previous, previous=live.stable)
        _switch(store, name, after)
    return after


def set_canary(
    store: Path,
    name: str,
    version: int | None,
    wait: Callable[[int], None] = lambda version: None,
) -> Live:
    """Put ``version`` on trial beside the stable one, or with ``None`` withdraw what is.

    ``CANARY_SHARE`` and ``SHADOW`` of the product say what part it takes.

    Raises:
        ContractError: nothing is live, the version is the stable one, is not published or does
            not match its contract.
    """
    with locked(store, name):
        live = read_live(store, name)
        after = Live(stable=live.stable, canary=version, previous=live.previous)
        if version is None:
            _switch(store, name, after)
            return after
        if version == live.stable:
            raise ContractError(f"Version {version} is the stable one already.")
        check_version(store, name, version)
        _switch(store, name, after, keep=live, wait=lambda: wait(version))
    return after


def describe(store: Path, name: str) -> list[str]:
    """One line for every published version: number, role, architecture, accuracy, digest."""
    live = read_live(store, name) if live_path(store, name).exists() else None
    lines = []
    for version in published_versions(store, name):
        contract = ModelContract.load(version_dir(store, name, version))
        roles = [] if live is None else [r for r, n in _roles(live).items() if n == version]
        accuracy = contract.metrics.get("calibration", {}).get("accuracy", {})
        measured = f"{accuracy['value']:.2%} of {accuracy['n']}" if accuracy else "not measured"
        lines.append(
            f"{version}  {','.join(roles) or '-':9} {contract.architecture}  "
            f"calibration accuracy {measured}  sha256 {contract.digest[:12]}"
        )
    return lines


def check_version(store: Path, name: str, version: int) -> ModelContract:
    """The contract of a published version whose files are those it was written for.

    Raises:
        ContractError: otherwise.
    """
    if version not in published_versions(store, name):
        known = ", ".join(map(str, published_versions(store, name))) or "none"
        raise ContractError(f"Version {version} of {name} is not published (there is: {known}).")
    folder = version_dir(store, name, version)
    contract = ModelContract.load(folder)
    if (contract.name, contract.version) != (name, version):
        raise ContractError(
            f"{folder} holds version {contract.version} of {contract.name}; do not rename "
            "version directories, publish again."
        )
    if graph_digest(folder) != contract.graph_digest:
        raise ContractError(f"{folder} does not match its contract; publish it again.")
    check_seal(folder)
    return contract


@contextmanager
def locked(store: Path, name: str) -> Iterator[None]:
    """Hold the model's directory for one writer; another waits. A kill releases it."""
    folder = store / name
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def models_config(name: str, *lives: Live) -> str:
    """TensorFlow Serving's configuration: exactly the versions that ``lives`` name."""
    versions = sorted({n for live in lives for n in _roles(live).values() if n is not None})
    lines = "".join(f"        versions: {number}\n" for number in versions)
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


def _switch(
    store: Path,
    name: str,
    live: Live,
    keep: Live | None = None,
    wait: Callable[[], None] = lambda: None,
) -> None:
    """Let servers load what ``live`` names beside what ``keep`` names, then make it the truth.

    Versions that no role names any more are unloaded at last, when no client asks for them.
    """
    config = store.parent / "models.config"
    _replace(config, models_config(name, live, keep or live).encode())
    try:
        wait()
    except BaseException:  # a version that no server can load must not stay in their way
        _replace(config, models_config(name, keep or live).encode())
        raise
    _replace(live_path(store, name), live.to_json())
    _replace(config, models_config(name, live).encode())


def _roles(live: Live) -> dict[str, int | None]:
    return {"stable": live.stable, "canary": live.canary, "previous": live.previous}


def _replace(path: Path, content: bytes) -> None:
    """Write beside, flush to disk and rename: readers see the old file or the new one."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
