"""Puts a backup back: all of it, or nothing.

1. Every file of the backup is checked, and so is whether the target may be replaced.
2. What takes time and space is made ready beside what is there: image files are added, model
   versions and (SQLite) the database written under other names. An error takes it all back; a
   kill leaves the old state, and stray files that ``clean_media`` or the next restore removes.
3. A marker in MEDIA_ROOT says that the old state goes. Database, then model versions, then
   ``models.config``, then ``live.json`` are replaced. From here on whatever interrupts the
   restore leaves the marker: the product does not start, and the same command, run again,
   completes it without ``--replace``. On SQLite the database is the old or the new one at every
   moment; MariaDB and MySQL cannot replace tables in one step.
4. Migrations of newer code run, what no row refers to goes, integrity is checked, the restore is
   recorded, and the marker is removed.
"""

import os
import shutil
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from diagnosis.core.files import sha256_of, sync_folder
from diagnosis.operations.backup import database
from diagnosis.operations.backup.folder import (
    MEDIA,
    BackupError,
    Manifest,
    Say,
    files_below,
    place_file,
    progress,
    read_whole,
)
from diagnosis.operations.backup.make import check_place
from diagnosis.operations.backup.marker import marked, marker_path
from diagnosis.operations.backup.store import (
    StoreChange,
    store_change,
    store_locked,
    store_stage,
    store_switch,
)
from diagnosis.operations.integrity import integrity_problems
from diagnosis.storage.media import media_files, media_path
from diagnosis.storage.references import referred_files
from webapp.audit.models import AuditEvent
from webapp.audit.services import audit_record


@dataclass(frozen=True)
class _Plan:
    """What a restore will do, all of it checked.

    Attributes:
        sha256: of the backup.
        media: the backup's names below MEDIA_ROOT.
        media_missing: those of them that are not there yet, or damaged.
    """

    folder: Path
    manifest: Manifest
    sums: dict[str, str]
    sha256: str
    media: set[str]
    media_missing: list[str]
    store: StoreChange
    say: Say


def backup_restore(*, folder: Path, replace: bool, say: Say) -> tuple[Manifest, list[str]]:
    """Put the backup ``folder`` in the place of database, media and model store.

    Args:
        replace: whether what the target holds may go.
        say: is told how far it is.

    Returns:
        Its manifest, and what ``check_integrity`` found afterwards, a sentence each.

    Raises:
        BackupError: it cannot be restored; the message says whether anything was changed.
        OSError, DatabaseError: the same, and nothing was changed.
    """
    check_place(folder)
    _refuse_root()
    plan = _plan(folder, say)
    if marked() == plan.sha256:
        say("Going on with the restore that was cut off.")
    elif not replace:
        _refuse_holding(plan)
    engine = database.engine()
    engine.check_ready()
    _check_space(plan, engine)
    with ExitStack() as undo:
        staged = _stage(plan, engine, undo)
        undo.pop_all()
    try:
        _mark(plan.sha256)
        say("Restoring the database …")
        engine.switch(staged, say)
        with store_locked():
            store_switch(plan.folder, plan.sums, plan.store)
        return plan.manifest, _finish(plan)
    except Exception as error:
        raise BackupError(
            f"The restore stopped halfway: {error} Mend that and run the same command again, "
            "which completes it; until then the product does not start."
        ) from error


def _refuse_root() -> None:
    """What root writes, the product's own user could not read.

    Raises:
        BackupError: root runs this, and MEDIA_ROOT is another user's.
    """
    owner = _nearest(media_path("")).stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise BackupError(
            f"MEDIA_ROOT ({media_path('')}) belongs to user {owner}, and root runs this; "
            "run it as that user. Nothing was changed."
        )


def _plan(folder: Path, say: Say) -> _Plan:
    """Check all that can be checked without the target being asked.

    Raises:
        BackupError: this backup cannot be restored here, or by this code.
    """
    manifest, sums, sha256 = read_whole(folder, say)
    if manifest.vendor != database.vendor():
        raise BackupError(
            f"The backup is of a {manifest.vendor} database, and DATABASE_URL names one of "
            f"{database.vendor()}; a dump restores to the same kind alone. Nothing was changed."
        )
    if unknown := database.unknown_migrations(manifest.migrations):
        raise BackupError(
            f"The backup was made by newer code (version {manifest.product}): this one does not "
            f"have its migrations {', '.join(unknown[:5])}. Restore it with that version. "
            "Nothing was changed."
        )
    start = f"{MEDIA}/"
    media = {name.removeprefix(start) for name in sums if name.startswith(start)}
    missing = [
        name
        for name in progress(say, "Compared", "media files", sorted(media))
        if not media_path(name).is_file() or sha256_of(media_path(name)) != sums[f"{start}{name}"]
    ]
    return _Plan(folder, manifest, sums, sha256, media, missing, store_change(sums), say)


def _refuse_holding(plan: _Plan) -> None:
    """Make sure that the restore takes nothing from the target.

    Raises:
        BackupError: it would; names it.
    """
    try:
        holding = [f"{table} {count}" for table, count in database.records().items()]
    except DatabaseError as error:
        if connection.vendor != "sqlite":
            raise
        holding = [f"a database that cannot be read ({error})"]
    if foreign := len(set(files_below(media_path(""))) - plan.media):
        holding.append(f"media files that are not in the backup {foreign}")
    holding += [f"model {version} with other content" for version in sorted(plan.store.changed)]
    if holding:
        raise BackupError(
            f"The target is not empty, and restoring would remove for good: {', '.join(holding)}. "
            "Nothing was changed. Make a backup of it first, or add --replace to lose all of that."
        )


def _check_space(plan: _Plan, engine: database.Engine) -> None:
    """Make sure that what will be written fits.

    Raises:
        BackupError: a disk has not enough room.
    """
    versions = [*plan.store.new.values(), *plan.store.changed.values()]
    writes: list[tuple[Path | None, list[str]]] = [
        (media_path(""), [f"{MEDIA}/{name}" for name in plan.media_missing]),
        (Path(settings.MODEL_STORE), [name for names in versions for name in names]),
        (engine.space_at(), [plan.manifest.database]),
    ]
    needed: dict[int, int] = defaultdict(int)
    for path, names in writes:
        if path is None or not names:
            continue
        place = _nearest(path)
        device = place.stat().st_dev
        needed[device] += sum((plan.folder / name).stat().st_size for name in names)
        if (free := shutil.disk_usage(place).free) < needed[device]:
            raise BackupError(
                f"{path} has {free / 2**20:.0f} MiB free, and the restore needs "
                f"{needed[device] / 2**20:.0f} MiB; free some space. Nothing was changed."
            )


def _nearest(path: Path) -> Path:
    """``path``, or the folder that exists in which it will be made."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _stage(plan: _Plan, engine: database.Engine, undo: ExitStack) -> Path:
    """Write all that harms nothing; gives what ``engine.switch`` takes."""
    for name in progress(plan.say, "Restored", "media files", plan.media_missing):
        path = media_path(name)
        if not path.exists():
            undo.callback(path.unlink, missing_ok=True)
        place_file(plan.folder / MEDIA / name, path, plan.sums[f"{MEDIA}/{name}"], mode=0o600)
    store_stage(plan.folder, plan.sums, plan.store, undo)
    dump = plan.folder / plan.manifest.database
    staged = engine.stage(dump, plan.sums[plan.manifest.database])
    if staged != dump:
        undo.callback(staged.unlink, missing_ok=True)
    return staged


def _mark(sha256: str) -> None:
    """The old state goes from here on."""
    marker_path().parent.mkdir(parents=True, exist_ok=True)
    marker_path().write_text(f"{sha256}\n")
    sync_folder(marker_path().parent)


def _finish(plan: _Plan) -> list[str]:
    """Bring the restored state up to date; gives what does not agree."""
    ContentType.objects.clear_cache()
    counts = database.row_counts()
    if wrong := [table for table, rows in plan.manifest.rows.items() if counts.get(table) != rows]:
        raise BackupError(f"the database did not take all rows of {', '.join(wrong)}.")
    call_command("migrate", interactive=False, verbosity=0)
    Session.objects.all().delete()  # who signed out since the backup stays signed out
    _remove_strays(plan)
    plan.say("Checking that rows, files and audit trail agree …")
    problems = list(integrity_problems())
    # Its target says how far the trail of the backup reaches.
    audit_record(
        actor=None,
        action="restore.made",
        target=AuditEvent.objects.first() or AuditEvent(pk=0),
        detail={"sha256": plan.sha256, "made_at": plan.manifest.made_at, "problems": len(problems)},
    )
    connections.close_all()
    marker_path().unlink()
    sync_folder(marker_path().parent)
    return problems


def _remove_strays(plan: _Plan) -> None:
    """What the backup does not hold goes, and files of records that came after its dump."""
    strays = {name for name, _ in media_files(older_than_s=0)}
    strays |= set(files_below(media_path(""))) - plan.media
    referred = {name for name, _ in referred_files()}
    for name in strays - referred:
        media_path(name).unlink()
