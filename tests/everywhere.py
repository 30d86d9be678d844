"""``python -m tests.everywhere``: all tests on SQLite, then on MariaDB what uses a database; with
``mysql`` behind it, that on MySQL; with ``check``, the quick ones on SQLite.

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
# What `make check` leaves to `make test`: half of the tests' time, and what needs more than Python.
LEFT_OUT = (
    # browsers, servers, TensorFlow, the started product
    "tests/browser",
    "tests/contract",
    "tests/deployment",
    "tests/diagnosis/api/test_served.py",
    "tests/diagnosis/fields/test_worker.py",
    "tests/export",
    "tests/load",
    "tests/toolchain/test_environment.py",
    "tests/toolchain/test_make.py",
    "tests/toolchain/test_messages.py",
    "tests/toolchain/test_observed_product.py",
    "tests/toolchain/test_private_files.py",
    "tests/toolchain/test_serve.py",
    "tests/webapp/telemetry/test_tracing.py",
    # each address, each table, each way in
    "tests/architecture/test_import_contracts.py",
    "tests/diagnosis/fields/test_concurrency.py",
    "tests/diagnosis/models",
    "tests/diagnosis/operations",
    "tests/diagnosis/portal/cases/test_sign_guesses.py",
    "tests/diagnosis/portal/words",
    "tests/webapp/accounts/test_lockout.py",
    "tests/webapp/api/test_role_matrix.py",
    "tests/webapp/audit/test_admin_addresses.py",
    "tests/webapp/middleware/test_crafted_requests.py",
    # many records, many pictures
    "tests/diagnosis/cases/test_corrections.py",
    "tests/diagnosis/core/formats/test_dicom.py",
    "tests/diagnosis/core/imaging/test_synthetic.py",
    "tests/diagnosis/demonstration",
    "tests/diagnosis/portal/cases/test_blinded.py",
    "tests/diagnosis/reports",
    "tests/diagnosis/statistics/test_inputs.py",
)
CHECK = {
    "SQLite": (
        *(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"),
        *("-m", "not browser and not data and not real_server"),
        *(f"--ignore={path}" for path in LEFT_OUT),
    )
}


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
    sys.exit(main({"mysql": MYSQL, "check": CHECK}.get(sys.argv[-1], RUNS)))
