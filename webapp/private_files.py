"""Everything that the product writes on one machine is for its own user alone.

``python -m export`` is not the product: what it publishes is read by a model server of another
user.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE, PUBLIC = 0o077, 0o022
"""umasks"""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_from_now_on() -> None:
    """New files of this process and its children are closed to all other users."""
    os.umask(PRIVATE)


@contextmanager
def readable_by_others() -> Iterator[None]:
    """Within it, new files may be read by all; for commands alone, a umask is the process's."""
    before = os.umask(PUBLIC)
    try:
        yield
    finally:
        os.umask(before)


def close_to_others(paths: list[Path]) -> list[Path]:
    """Close files and folders of an earlier version, which left them open to other users.

    Those that are missing or another user's stay as they are.

    Returns:
        Those that were open.
    """
    closed = []
    for path in paths:
        try:
            found = path.stat()
            if found.st_mode & OTHERS and found.st_uid == os.geteuid():
                path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
                closed.append(path)
        except OSError:
            continue
    return closed
