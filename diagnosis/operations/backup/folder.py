"""A backup on disk: what lies in it, and whether it is whole.

<folder>/manifest.json      what it holds, and which code made it
<folder>/database.…         the dump, .sqlite3 or .sql
<folder>/media/…            as below MEDIA_ROOT
<folder>/models/…           as below MODEL_STORE
<folder>/models.config      of TensorFlow Serving, if there was one beside the model store
<folder>/SHA256SUMS         of every other file, as `sha256sum` writes it

SHA256SUMS finds damage and edits by hand; who can write the folder can write it anew. The sha256
of SHA256SUMS itself therefore names the backup: ``backup`` prints it, and whoever keeps it
elsewhere knows the backup again.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, TypeVar

from diagnosis.core.files import (
    locked,
    read_sums,
    replacing,
    sha256_of,
    sums_text,
    sync_folder,
    to_disk,
)

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
MEDIA = "media"
MODELS = "models"
MODELS_CONFIG = "models.config"
PART = ".backup-part-"
SAY_EVERY_S = 5.0

Say = Callable[[str], None]
T = TypeVar("T")


class BackupError(Exception):
    """A backup cannot be made or restored; the message says how to mend it."""


@dataclass(frozen=True)
class Manifest:
    """What a backup says about itself.

    Attributes:
        format: of the folder; this code reads ``FORMAT``.
        product: version of the code that made it.
        made_at: time of the database dump, ISO 8601 in UTC.
        vendor: ``SQLite``, ``MariaDB`` or ``MySQL``; it restores to the same.
        server: version of the database.
        database: name of the dump.
        migrations: applied ones, as ``app.name``.
        rows: number of rows in every table of the dump.
        files: number of files of ``media`` and ``models``.
        problems: what was missing or damaged in the product already, a sentence each.
    """

    format: int
    product: str
    made_at: str
    vendor: str
    server: str
    database: str
    migrations: list[str]
    rows: dict[str, int]
    files: dict[str, int]
    problems: list[str]

    def describe(self) -> str:
        """Its size in words."""
        counted = {
            "patients": self.rows.get("patients_patient", 0),
            "diagnoses": self.rows.get("diagnosis_diagnosis", 0),
            "audit events": self.rows.get("audit_auditevent", 0),
            "media files": self.files[MEDIA],
            "model files": self.files[MODELS],
        }
        return ", ".join(f"{number} {name}" for name, number in counted.items())


def mend(error: Exception) -> str:
    """A sentence on an error of system or database, and on how to mend it."""
    if not isinstance(error, OSError):
        if "full" in str(error):  # SQLite's words
            return f"{error}; free some space, or choose another disk."
        return f"the database of DATABASE_URL does not answer ({error}); mend that first."
    where = f"{error.filename}: " if error.filename else ""
    hints = {
        errno.ENOSPC: "free some space, or choose another disk",
        errno.EDQUOT: "free some space, or choose another disk",
        errno.EACCES: "run this as the product's own user, who may read and write there",
        errno.EPERM: "run this as the product's own user, who may read and write there",
        errno.EROFS: "choose a folder that can be written",
    }
    return f"{where}{error.strerror}; {hints.get(error.errno or 0, 'mend that and try again')}."


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A private folder beside ``target`` that becomes ``target`` when the context ends well.

    Whatever happens before, a kill included, there is no ``target``. What a killed backup left
    behind goes when the next one begins in the same place.

    Raises:
        BackupError: ``target`` exists, or its parent does not.
    """
    parent = target.parent
    if os.path.lexists(target):
        raise BackupError(f"{target} exists, and no backup is overwritten; name a new folder.")
    if not parent.is_dir():
        raise BackupError(f"{parent} is not a folder; make it first, where only you may read.")
    umask = os.umask(0o077)  # patient data: for this user alone
    try:
        with ExitStack() as held:
            with locked(parent):
                _remove_dead(parent)
                part = Path(tempfile.mkdtemp(dir=parent, prefix=PART))
                held.enter_context(locked(part))
                held.callback(shutil.rmtree, part, ignore_errors=True)
            yield part
            for folder, _, _ in os.walk(part):
                sync_folder(Path(folder))
            os.rename(part, target)
            sync_folder(parent)
    finally:
        os.umask(umask)


def write_whole(folder: Path, manifest: Manifest, sums: dict[str, str]) -> str:
    """Write manifest and SHA256SUMS, the last files of a backup; gives the backup's sha256."""
    text = json.dumps(asdict(manifest), indent=2) + "\n"
    _write(folder / MANIFEST, text)
    sums = {**sums, MANIFEST: sha256_of(folder / MANIFEST)}
    _write(folder / SUMS, sums_text(sums))
    return sha256_of(folder / SUMS)


def read_whole(folder: Path, say: Say) -> tuple[Manifest, dict[str, str], str]:
    """Check every file of a backup; gives manifest, sha256 by name, and the backup's sha256.

    Raises:
        BackupError: it is no backup, is not whole, or is of a newer format.
        OSError: it cannot be read.
    """
    if not (folder / SUMS).is_file():
        raise BackupError(
            f"{folder} is no backup, or one that was cut off: it has no {SUMS}. "
            "Name a folder that `manage.py backup` made."
        )
    digest = sha256_of(folder / SUMS)
    sums = _read_sums(folder / SUMS)
    found = {name for name in files_below(folder) if name != SUMS}
    wrong = [f"{name} is missing" for name in sorted(sums.keys() - found)]
    wrong += [f"{name} does not belong to it" for name in sorted(found - sums.keys())]
    for name in progress(say, "Checked", "files", sorted(sums.keys() & found)):
        if sha256_of(folder / name) != sums[name]:
            wrong.append(f"{name} has changed")
    if MANIFEST not in sums:
        wrong.append(f"{MANIFEST} is not listed")
    if wrong:
        raise BackupError(
            f"{folder} is not as it was made: {'; '.join(wrong[:5])}"
            f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}. "
            "Nothing was changed; use another backup or another copy of this one."
        )
    return _read_manifest(folder / MANIFEST), sums, digest


def files_below(root: Path) -> list[str]:
    """Every file below ``root``, relative to it, sorted; hidden ones are somebody's unfinished
    work and left out. Nothing if ``root`` does not exist."""
    names = []
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_readable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        here = Path(folder).relative_to(root)
        names += [(here / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(names)


def copy_file(source: Path, target: Path) -> str:
    """Copy a file onto the disk; gives the sha256 of what was copied."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reading, target.open("wb") as writing:
        digest = _copy(reading, writing)
        to_disk(writing)
    return digest


def place_file(source: Path, target: Path, sha256: str, mode: int = 0o666) -> None:
    """Put a file of a backup where it belongs: whole and on disk, or not at all.

    Raises:
        BackupError: it is no longer what was checked.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.restoring")
    with source.open("rb") as reading, replacing(target, beside, mode) as writing:
        if _copy(reading, writing) != sha256:
            raise BackupError(f"{source} changed while it was read; leave the backup alone.")


def progress(say: Say, done: str, what: str, items: Sequence[T]) -> Iterator[T]:
    """The items, and every few seconds a sentence on how many are done."""
    said = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            say(f"{done} {number} of {len(items)} {what} …")
        yield item


def _remove_dead(parent: Path) -> None:
    """Remove unfinished backups that no process holds."""
    for part in parent.glob(f"{PART}*"):
        # It may be held by a backup that runs, or not be ours.
        with suppress(OSError), locked(part, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(part, ignore_errors=True)


def _copy(reading: IO[bytes], writing: IO[bytes]) -> str:
    """Copy one file into another; gives the sha256 of what was copied."""
    digest = hashlib.sha256()
    while block := reading.read(1 << 20):
        digest.update(block)
        writing.write(block)
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode())
        to_disk(file)


def _read_sums(path: Path) -> dict[str, str]:
    try:
        return read_sums(path)
    except ValueError as error:
        raise BackupError(
            f"{path} is malformed; use another backup or another copy of this one."
        ) from error


def _read_manifest(path: Path) -> Manifest:
    try:
        document = json.loads(path.read_bytes())
        made_by = f"format {document['format']}, made by version {document['product']}"
        if document["format"] > FORMAT:
            raise BackupError(
                f"{path.parent} is of a newer format ({made_by}); restore it with that version."
            )
        return Manifest(**{field.name: document[field.name] for field in fields(Manifest)})
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{path} is malformed ({error!r}); use another backup.") from error


def _readable(error: OSError) -> None:
    """``os.walk`` would pass over a folder that it cannot read."""
    if not isinstance(error, FileNotFoundError):
        raise error
