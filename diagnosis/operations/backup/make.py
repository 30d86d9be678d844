"""Makes a backup while the product runs.

The database is dumped first. Images and signed reports are never changed, are on disk before the
row that refers to them is committed, and stay as long as it does; so the files that are copied
afterwards include every one that the dump refers to. The copy may hold more, such as an upload's
that came after the dump: ``restore`` leaves those out.
"""

import fcntl
import os
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from diagnosis.core.errors import ContractError
from diagnosis.core.files import sha256_of
from diagnosis.core.predictors.seal import check_seal
from diagnosis.core.predictors.store import published_versions
from diagnosis.operations.backup import database
from diagnosis.operations.backup.folder import (
    FORMAT,
    MEDIA,
    MODELS,
    MODELS_CONFIG,
    BackupError,
    Manifest,
    Say,
    copy_file,
    files_below,
    progress,
    unfinished,
    write_whole,
)
from diagnosis.operations.backup.marker import marked
from diagnosis.operations.backup.store import store_locked, store_models
from diagnosis.storage.references import referred_files
from webapp.audit.models import AuditEvent
from webapp.audit.services import audit_record

STEPS_ASIDE_S = 1.0  # far above what `media_remove` takes to put a file back


@dataclass
class _Copy:
    """What was copied so far.

    Attributes:
        target: the unfinished backup.
        earlier: a backup that may already hold the same files.
        sums: sha256 by name in the backup.
        problems: what is wrong with the product's own files.
    """

    target: Path
    earlier: Path | None
    say: Say
    sums: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, source: Path, name: str) -> None:
        """Copy a file, or make it one more name of the same content in ``earlier``."""
        target = self.target / name
        held = self.earlier / name if self.earlier else None
        if held and held.is_file() and (digest := sha256_of(source)) == sha256_of(held):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(held, target)
            except OSError:  # another file system, or one without links
                digest = copy_file(source, target)
        else:
            digest = copy_file(source, target)
        self.sums[name] = digest


def backup_make(*, folder: Path, say: Say, earlier: Path | None = None) -> tuple[Manifest, str]:
    """Make ``folder``, a backup of database, media and model store.

    What is missing or damaged in the product is no reason to save nothing: the backup is made,
    and its ``problems`` say what.

    Args:
        folder: must not exist.
        say: is told how far it is.
        earlier: a backup on the same file system; what has not changed since is linked to it.

    Returns:
        Its manifest and its sha256.

    Raises:
        BackupError: no backup can be made; there is none.
        OSError: the same.
    """
    folder = folder.absolute()
    check_place(folder)
    if marked():
        raise BackupError("A restore was cut off here; run it again before you make a backup.")
    if earlier and not earlier.is_dir():
        raise BackupError(f"{earlier} is not a folder; name an earlier backup.")
    engine = database.engine()
    with unfinished(folder) as part:
        copy = _Copy(part, earlier.absolute() if earlier else None, say)
        say("Dumping the database …")
        made_at = timezone.now()
        migrations = database.applied_migrations()
        last = AuditEvent.objects.first()
        rows = engine.dump(part / engine.file_name)
        if migrations != database.applied_migrations():
            raise BackupError("The database was migrated during the backup; make it again.")
        copy.sums[engine.file_name] = sha256_of(part / engine.file_name)
        _copy_media(copy)
        _copy_models(copy)
        manifest = _manifest(copy, made_at, migrations, rows)
        digest = write_whole(part, manifest, copy.sums)
    try:
        audit_record(
            actor=None,
            action="backup.made",
            target=last or AuditEvent(pk=0),  # how far the saved trail reaches, at least
            detail={"sha256": digest, "problems": len(copy.problems)},
        )
    except DatabaseError as error:
        raise BackupError(
            f"{folder} is complete, but could not be recorded in the audit trail ({error})."
        ) from error
    return manifest, digest


def check_place(folder: Path) -> None:
    """A backup is no part of what is backed up, nor of what a restore clears.

    Raises:
        BackupError: ``folder`` lies in MEDIA_ROOT or MODEL_STORE.
    """
    for name in ("MEDIA_ROOT", "MODEL_STORE"):
        if folder.resolve().is_relative_to(Path(getattr(settings, name)).resolve()):
            raise BackupError(f"{folder} lies in {name}; keep backups elsewhere.")


def _manifest(
    copy: _Copy, made_at: datetime, migrations: list[str], rows: dict[str, int]
) -> Manifest:
    return Manifest(
        format=FORMAT,
        product=str(settings.SPECTACULAR_SETTINGS["VERSION"]),
        made_at=made_at.isoformat(),
        vendor=database.vendor(),
        server=database.server_version(),
        database=database.engine().file_name,
        migrations=migrations,
        rows=rows,
        files={
            kind: sum(name.startswith(f"{kind}/") for name in copy.sums) for kind in (MEDIA, MODELS)
        },
        problems=copy.problems,
    )


def _copy_media(copy: _Copy) -> None:
    """Every file below MEDIA_ROOT, whoever it belongs to, and every one that a row refers to."""
    root = Path(settings.MEDIA_ROOT)
    referred = dict(referred_files())
    names = sorted(referred.keys() | set(files_below(root)))
    for name in progress(copy.say, "Copied", "media files", names):
        try:
            _add_media(copy, root / name, f"{MEDIA}/{name}", retry=name in referred)
        except FileNotFoundError:
            if name in referred:  # otherwise `clean_media` was faster
                copy.problems.append(f"media file {name} is missing")
            continue
        if name in referred and copy.sums[f"{MEDIA}/{name}"] != referred[name]:
            copy.problems.append(f"media file {name} has changed since it was stored")


def _add_media(copy: _Copy, source: Path, name: str, *, retry: bool) -> None:
    try:
        copy.add(source, name)
    except FileNotFoundError:
        if not retry:
            raise
        time.sleep(STEPS_ASIDE_S)  # `clean_media` moves a file aside before it asks for rows
        copy.add(source, name)


def _copy_models(copy: _Copy) -> None:
    """The model store, while nobody promotes a version."""
    store = Path(settings.MODEL_STORE)
    with store_locked(fcntl.LOCK_SH):
        names = files_below(store)
        for name in progress(copy.say, "Copied", "model files", names):
            copy.add(store / name, f"{MODELS}/{name}")
        if (config := store.parent / MODELS_CONFIG).is_file():
            copy.add(config, MODELS_CONFIG)
    for model in store_models():
        for version in published_versions(copy.target / MODELS, model):
            try:
                check_seal(copy.target / MODELS / model / str(version))
            except ContractError:
                copy.problems.append(f"model {model}/{version} does not match its seal")
