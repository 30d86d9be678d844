"""Whether the model server may read a version: in its container it is another user than ours."""

import os
import stat
from pathlib import Path

from diagnosis.core.errors import ContractError
from diagnosis.core.predictors.store import version_dir

SERVER_ID = 10001  # user and group, in docker-compose.yml and serving/kubernetes


def check_readable(store: Path, name: str, version: int) -> None:
    """Make sure that the server's user may enter every folder and read every file of a version.

    Raises:
        ContractError: it may not; names the first such path, and says how to mend it.
    """
    folder = version_dir(store, name, version)
    for path in (store, store / name, folder, *sorted(folder.rglob("*"))):
        try:
            found = path.stat()
        except OSError as error:
            raise ContractError(f"{path} cannot be looked at ({error.strerror}).") from error
        needed = 0o5 if stat.S_ISDIR(found.st_mode) else 0o4
        if _granted(found) & needed != needed:
            raise ContractError(
                f"{path} cannot be read by the model server's user ({SERVER_ID}); run "
                f"`chmod -R a+rX {path}`."
            )


def open_to_servers(folder: Path) -> None:
    """Let everybody read what lies in ``folder``, whatever the umask was when it was written."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _granted(found: os.stat_result) -> int:
    """The three bits that count for the server's user: 4 to read, 1 to enter."""
    if found.st_uid == SERVER_ID:
        return found.st_mode >> 6 & 0o7
    if found.st_gid == SERVER_ID:
        return found.st_mode >> 3 & 0o7
    return found.st_mode & 0o7
