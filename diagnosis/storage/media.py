"""Image files of diagnoses and reports of cases: named by content, written whole or not at all."""

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from diagnosis.core.files import replacing, sync_folder
from diagnosis.core.formats.decode import StoredImage
from webapp.telemetry.metrics import DAMAGED_FILES


class MediaDamagedError(OSError):
    """A stored file is not what was stored, or cannot be read.

    Attributes:
        found: sha256 of what is there instead; empty where nothing can be read.
    """

    names_nobody = True  # to be read in the log

    def __init__(self, message: str, *, found: str) -> None:
        super().__init__(message)
        self.found = found


_REMOVING = ".removing-"
_FIELDS, _REPORTS = "fields", "reports"


def media_path(name: str) -> Path:
    """Where the file ``name`` (``Diagnosis.image_name``, ``Report.pdf_name``) lies."""
    return Path(settings.MEDIA_ROOT) / name


def media_is_writable() -> bool:
    """Whether ``MEDIA_ROOT``, or the folder it will be made in, is one this user may write."""
    nearest = _nearest(media_path(""))
    return nearest.is_dir() and os.access(nearest, os.W_OK)


def disk_has_room(folder: Path) -> bool:
    """Whether the disk of ``folder`` still takes an upload of the largest size."""
    return shutil.disk_usage(_nearest(folder)).free >= settings.MAX_UPLOAD_BYTES


def require_room() -> None:
    """Refuse an upload before anything is done with it, while the rest of the disk is still there
    for what people write.

    Raises:
        OSError: ENOSPC; the disk of ``MEDIA_ROOT`` is as good as full.
    """
    if not disk_has_room(media_path("")):
        raise OSError(errno.ENOSPC, "There is no room for another upload.")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the one it will be made in."""
    return next(found for found in (folder, *folder.parents) if found.exists())


def media_write(image: StoredImage) -> tuple[str, str]:
    """Keep an image; gives its name and sha256. See ``_keep``."""
    return _keep(_FIELDS, image.data, image.extension)


def report_write(pdf: bytes) -> tuple[str, str]:
    """Keep the PDF of a signed case; gives its name and sha256. See ``_keep``."""
    return _keep(_REPORTS, pdf, "pdf")


def _keep(folder: str, data: bytes, extension: str) -> tuple[str, str]:
    """Name and sha256 of ``data``, now on disk.

    The file appears under its final name complete and on disk, or not at all. A file that is
    already there is kept and its age reset, which protects it from ``clean_media`` until the
    row that refers to it is committed; one that is not what its name says is written anew.
    """
    digest = hashlib.sha256(data).hexdigest()
    name = f"{folder}/{digest[:2]}/{digest}.{extension}"
    path = media_path(name)
    try:
        os.utime(path)
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return name, digest
    except FileNotFoundError:
        pass
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent.parent)
    # Two uploads of the same image may be kept at the same time.
    beside = path.with_name(f".writing-{secrets.token_hex(8)}")
    with replacing(path, beside, mode=0o600) as file:
        file.write(data)
    return name, digest


def media_read(name: str, sha256: str) -> bytes:
    """The stored bytes, which are those that were stored: whoever reads a file reads it here.

    Raises:
        MediaDamagedError: they are not, or cannot be read; it is counted.
    """
    try:
        data = media_path(name).read_bytes()
    except OSError as error:
        DAMAGED_FILES.labels(name.partition("/")[0]).inc()
        raise MediaDamagedError(f"is unreadable ({error.strerror})", found="") from error
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        DAMAGED_FILES.labels(name.partition("/")[0]).inc()
        raise MediaDamagedError("has changed since it was stored", found=found)
    return data


def media_is_sound(name: str, sha256: str) -> bool:
    """Whether ``media_read`` would give the bytes; for pages that tell of many files.

    A file that was found sound is not read again while its inode, size and times stay the same.
    """
    try:
        stat = media_path(name).stat()
    except OSError:
        return False
    mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _is_sound(media_path(name), sha256, mark)


@lru_cache(maxsize=20_000)
def _is_sound(path: Path, sha256: str, mark: tuple[int, ...]) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def media_remove(name: str, *, is_referred_to: Callable[[str], bool]) -> bool:
    """Remove the file ``name`` unless a row refers to it; says whether it went.

    The file steps aside before the rows are asked. A row that is committed before the question
    brings the file back; one that is committed later finds it missing, because whoever
    committed looks once more afterwards, and writes it again. Where the rows cannot be asked,
    the file is put back.
    """
    path = media_path(name)
    original = path.name.removeprefix(_REMOVING)  # a removal that was cut is taken up again
    aside = path.with_name(_REMOVING + original)
    try:
        os.replace(path, aside)
    except FileNotFoundError:  # another run was faster
        return False
    kept = True
    try:
        kept = is_referred_to(path.with_name(original).relative_to(settings.MEDIA_ROOT).as_posix())
    finally:
        if kept:
            os.replace(aside, path.with_name(original))
    if kept:
        return False
    aside.unlink()
    return True


def media_files(*, older_than_s: float) -> Iterator[tuple[str, Path]]:
    """Name and path of every image and report last touched over ``older_than_s`` ago,
    unfinished writes included."""
    root = Path(settings.MEDIA_ROOT)
    limit = time.time() - older_than_s
    for path in sorted(
        path for folder in (_FIELDS, _REPORTS) for path in (root / folder).rglob("*")
    ):
        if path.is_file() and path.stat().st_mtime < limit:
            yield path.relative_to(root).as_posix(), path
