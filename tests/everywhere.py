"""``python -m tests.everywhere``: all tests on SQLite, then on MariaDB what uses a database; with
``mysql`` behind it, that on MySQL.

A run that fails keeps none of the others from being made; all are told at the end, and the exit
status is 0 if none failed. Where MySQL's server cannot be had, that is said, and is no failure.
"""

import subprocess
import sys
import time

from tests.servers.mysql import NOT_HERE

# A process more than two cores: many tests wait for a product that starts.
PYTEST = (sys.executable, "-m", "pytest", "-n", "3", "--dist", "loadgroup")
# What needs images, or says nothing of its database, has been run by then.
DATABASE = (*PYTEST, "-q", "--ignore=tests/export", "-m", "db and not data and not any_database")
RUNS = {
    "SQLite": PYTEST,
    "MariaDB": (sys.executable, "-m", "tests.servers.mariadb", *DATABASE),
}
MYSQL = {"MySQL": (sys.executable, "-m", "tests.servers.mysql", *DATABASE)}


def main(runs: dict[str, tuple[str, ...]]) -> int:
    """Make the runs one after the other and tell how each went; gives the exit status."""
    told, failed = [], False
    for name, command in runs.items():
        sys.stdout.write(f"\n===== {name} =====\n")
        sys.stdout.flush()
        begun = time.monotonic()
        status = subprocess.run(command).returncode
        minutes = f"{(time.monotonic() - begun) / 60:.1f} minutes"
        if status == NOT_HERE:
            told.append(f"{name}: NOT RUN, its server cannot be had here (see above)")
        else:
            failed = failed or status != 0
            told.append(f"{name}: {'FAILED' if status else 'passed'} in {minutes}")
    sys.stdout.write("\n" + "\n".join(told) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(MYSQL if "mysql" in sys.argv else RUNS))
