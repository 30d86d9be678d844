"""``python tests/in_memory.py COMMAND …``: run a command whose temporary files lie in memory.

A flush to disk then costs nothing: databases flush at every change of a table, and nothing in a
test has to survive a power cut. Where memory or room is short, files lie where they always do.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 6 << 30  # bytes; a whole run leaves 1 GiB or so


def has_room(folder: Path, meminfo: Path = Path("/proc/meminfo")) -> bool:
    """Whether a run's temporary files fit into ``folder``, and programs can be run from there."""
    try:
        available = next(
            int(line.split()[1]) << 10
            for line in meminfo.read_text("ascii").splitlines()
            if line.startswith("MemAvailable:")
        )
        return (
            min(available, shutil.disk_usage(folder).free) >= ROOM
            and os.access(folder, os.W_OK)
            and not os.statvfs(folder).f_flag & os.ST_NOEXEC
        )
    except (OSError, StopIteration):
        return False


if __name__ == "__main__":
    folder = MEMORY if has_room(MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="tests-", dir=folder) as temporary:
        command = subprocess.run(sys.argv[1:], env={**os.environ, "TMPDIR": temporary})
    sys.exit(command.returncode)
