"""``python tests/servers/mariadb.py COMMAND …``: run a command with a MariaDB server of its own.

The server listens on the loopback address only, keeps its data in a temporary folder, and ends
with the command. The command finds it in DATABASE_URL. No service of the machine is touched.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_WITHIN_S = 300


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or sys.exit(f"{name} is missing: run tests/system_packages.sh.")


def free_port() -> int:
    """A port of the loopback address on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mariadb(*more: str) -> Iterator[str]:
    """The DATABASE_URL of a server that runs while the context is open.

    Args:
        more: options of the server beside the usual ones.
    """
    with tempfile.TemporaryDirectory(prefix="mariadb-") as temporary:
        folder = Path(temporary)
        options = ["--no-defaults", f"--datadir={folder}/data"]
        if os.getuid() == 0:  # it refuses to run as root unless it is told to
            options += ["--user=root"]
        with (folder / "log").open("wb") as log:
            subprocess.run(
                [_program("mariadb-install-db"), *options, "--skip-test-db"],
                stdout=log,
                stderr=log,
                check=True,
            )
            password, port = secrets.token_hex(16), free_port()
            # The server runs this file when it starts, before it accepts connections.
            (folder / "init.sql").write_text(
                f"CREATE USER portal@'127.0.0.1' IDENTIFIED BY '{password}';\n"
                "GRANT ALL ON *.* TO portal@'127.0.0.1' WITH GRANT OPTION;\n"
            )
            options += [
                f"--port={port}",
                f"--socket={folder}/socket",
                # A server that starts clears its folder of other servers' temporary tables.
                f"--tmpdir={folder}",
                f"--init-file={folder}/init.sql",
                *certificate(folder),
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--skip-log-bin",
                # Nothing here has to survive a power cut.
                "--innodb-flush-log-at-trx-commit=0",
                *more,
            ]
            server = subprocess.Popen([_program("mariadbd"), *options], stdout=log, stderr=log)
            try:
                wait_for_server(server, port, folder / "log")
                yield f"mysql://portal:{password}@127.0.0.1:{port}/portal"
            finally:
                server.terminate()
                server.wait()


def certificate(folder: Path) -> list[str]:
    """A server's options for TLS: a certificate for 127.0.0.1, its key, and who signed it."""
    at = {name: str(folder / f"{name}.pem") for name in ("ca", "cakey", "cert", "key", "request")}
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    sign = ["-CA", at["ca"], "-CAkey", at["cakey"], "-CAcreateserial", "-copy_extensions", "copy"]
    for command in (
        [*new, "-x509", "-subj", "/CN=tests", "-keyout", at["cakey"], "-out", at["ca"]],
        [*new, *name, "-keyout", at["key"], "-out", at["request"]],
        ["openssl", "x509", "-req", "-in", at["request"], *sign, "-out", at["cert"]],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return [f"--ssl-{name}={at[name]}" for name in ("ca", "cert", "key")]


def wait_for_server(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return when the server listens; exits with the end of its log if it does not."""
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(
                    f"The database server did not start:\n{log.read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.1)


if __name__ == "__main__":
    with mariadb() as url:
        command = subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": url})
    sys.exit(command.returncode)
