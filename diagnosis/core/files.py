"""Files that are whole on disk, lists of their checksums, and folders held by one process."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(sums: Mapping[str, str]) -> str:
    """Checksums by name as ``sha256sum`` lists them, sorted by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def read_sums(path: Path) -> dict[str, str]:
    """What ``sums_text`` wrote.

    Raises:
        OSError: the list cannot be read.
        ValueError: it is none.
    """
    lines = path.read_text("utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


@contextmanager
def replacing(path: Path, beside: Path, mode: int = 0o666) -> Iterator[IO[bytes]]:
    """A file to write to, which becomes ``path`` at the end: whole and on disk, or not at all.

    Args:
        beside: where it lies until then. After a kill it stays there, and the next writer begins
            it anew; those who may write at the same time need a name each.
        mode: of a new file, less the umask.
    """
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            yield file
            to_disk(file)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def to_disk(file: IO[bytes]) -> None:
    """Make what was written survive a power cut."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path, flags: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a folder for this process; another waits, or with ``LOCK_NB`` meets an ``OSError``.

    A kill releases it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, flags)
        yield
    finally:
        os.close(handle)
