"""The model store of a backup: whole versions appear, ``live.json`` comes last."""

import fcntl
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from diagnosis.core.files import locked, sha256_of, sync_folder
from diagnosis.operations.backup.folder import (
    MODELS,
    MODELS_CONFIG,
    BackupError,
    copy_file,
    files_below,
    place_file,
)
from webapp.private_files import readable_by_others

_IN_VERSION = re.compile(rf"{MODELS}/([^/]+/[1-9]\d*)/.+")


@dataclass(frozen=True)
class StoreChange:
    """What a restore does to the model store. Versions that only the store has stay: a number
    is never published twice, and records name theirs.

    Attributes:
        new: versions (``name/number``) that the store lacks, with the names of their files.
        changed: the same for versions that it holds otherwise.
        loose: files beside versions that it lacks or holds otherwise, in the order of writing.
    """

    new: dict[str, list[str]]
    changed: dict[str, list[str]]
    loose: list[str]


def store_change(sums: dict[str, str]) -> StoreChange:
    """Compare a backup's files with the store's."""
    versions: dict[str, list[str]] = defaultdict(list)
    loose = []
    for name in sums:
        if found := _IN_VERSION.fullmatch(name):
            versions[found[1]].append(name)
        elif name == MODELS_CONFIG or name.startswith(f"{MODELS}/"):
            loose.append(name)
    there = {version for version in versions if _path(f"{MODELS}/{version}").exists()}
    return StoreChange(
        new={version: versions[version] for version in versions.keys() - there},
        changed={
            version: versions[version]
            for version in there
            if _held(version) != {name: sums[name] for name in versions[version]}
        },
        loose=sorted(
            (name for name in loose if not _holds(_path(name), sums[name])),
            key=lambda name: (name.endswith("/live.json"), name),
        ),
    )


def store_stage(folder: Path, sums: dict[str, str], change: StoreChange, undo: ExitStack) -> None:
    """Write versions beside where they belong, and rename what is new: a model server that
    looks meanwhile sees whole versions only. It is another user, and may read them.

    Raises:
        BackupError: a file is no longer what was checked.
    """
    with readable_by_others():
        _store_stage(folder, sums, change, undo)


def _store_stage(folder: Path, sums: dict[str, str], change: StoreChange, undo: ExitStack) -> None:
    for version, names in (change.new | change.changed).items():
        staged = _aside(version, "restoring")
        shutil.rmtree(staged, ignore_errors=True)
        undo.callback(shutil.rmtree, staged, ignore_errors=True)
        for name in names:
            target = staged / name.removeprefix(f"{MODELS}/{version}/")
            if copy_file(folder / name, target) != sums[name]:
                raise BackupError(f"{folder / name} changed while it was read.")
        if version in change.new:
            os.rename(staged, _path(f"{MODELS}/{version}"))
            undo.callback(shutil.rmtree, _path(f"{MODELS}/{version}"))


def store_switch(folder: Path, sums: dict[str, str], change: StoreChange) -> None:
    """Replace what differs; ``live.json``, the truth on what is served, at last."""
    for version in change.changed:
        target, old = _path(f"{MODELS}/{version}"), _aside(version, "replaced")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
        os.rename(_aside(version, "restoring"), target)
        sync_folder(target.parent)
    for model in store_models():
        for old in (Path(settings.MODEL_STORE) / model).glob(".replaced-*"):
            shutil.rmtree(old, ignore_errors=True)
    with readable_by_others():
        for name in change.loose:
            place_file(folder / name, _path(name), sums[name])


def store_models() -> list[str]:
    """Names of the models in the store."""
    store = Path(settings.MODEL_STORE)
    return sorted(path.name for path in store.iterdir() if path.is_dir()) if store.is_dir() else []


@contextmanager
def store_locked(flags: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Wait for whoever publishes or promotes, and make them wait in turn: they lock these."""
    with ExitStack() as held:
        for model in store_models():
            held.enter_context(locked(Path(settings.MODEL_STORE) / model, flags))
        yield


def _path(name: str) -> Path:
    """Where a file of the backup belongs; ``models.config`` lies beside the store."""
    store = Path(settings.MODEL_STORE)
    if name == MODELS_CONFIG:
        return store.parent / name
    return store / name.removeprefix(f"{MODELS}/")


def _aside(version: str, why: str) -> Path:
    """A name that is no version's, for model servers too."""
    target = _path(f"{MODELS}/{version}")
    return target.with_name(f".{why}-{target.name}")


def _held(version: str) -> dict[str, str]:
    folder = _path(f"{MODELS}/{version}")
    return {f"{MODELS}/{version}/{name}": sha256_of(folder / name) for name in files_below(folder)}


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256
