"""``python -m tests.servers.mysql COMMAND …``: run a command with a MySQL server of its own.

As ``tests.servers.mariadb``, with Oracle's server, which ``mysql_server.sh`` unpacks into
``.mysql``. Exits ``NOT_HERE`` where it cannot be had.
"""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.product import ROOT
from tests.servers.mariadb import certificate, free_port, wait_for_server

SERVER = ROOT / ".mysql"
NOT_HERE = 69  # EX_UNAVAILABLE; no exit status of pytest's


def unpack() -> None:
    """Fetch the server where it is not there yet; exits where it cannot be had."""
    fetched = subprocess.run([ROOT / "tests/servers/mysql_server.sh", SERVER])
    if fetched.returncode:
        sys.exit(fetched.returncode)


@contextmanager
def mysql(*more: str) -> Iterator[str]:
    """The DATABASE_URL of a server that runs while the context is open.

    By TLS: in a process with TensorFlow in it the client library cannot encrypt a password by
    itself.

    Args:
        more: options of the server beside the usual ones.
    """
    with tempfile.TemporaryDirectory(prefix="mysql-") as temporary:
        folder = Path(temporary)
        program = [
            str(SERVER / "bin/mysqld"),
            "--no-defaults",
            f"--basedir={SERVER}/usr",
            f"--lc-messages-dir={SERVER}/usr/share/mysql",
            f"--plugin-dir={SERVER}/usr/lib/mysql/plugin",
            f"--datadir={folder}/data",
            "--secure-file-priv=NULL",
            *(["--user=root"] if os.getuid() == 0 else []),
        ]
        with (folder / "log").open("wb") as log:
            subprocess.run([*program, "--initialize-insecure"], stdout=log, stderr=log, check=True)
            password, port = secrets.token_hex(16), free_port()
            # The server runs this file when it starts, before it accepts connections.
            (folder / "init.sql").write_text(
                f"CREATE USER portal@'127.0.0.1' IDENTIFIED BY '{password}';\n"
                "GRANT ALL ON *.* TO portal@'127.0.0.1' WITH GRANT OPTION;\n"
            )
            options = [
                f"--port={port}",
                f"--socket={folder}/socket",
                f"--tmpdir={folder}",
                f"--init-file={folder}/init.sql",
                *certificate(folder),
                "--bind-address=127.0.0.1",
                "--mysqlx=OFF",
                "--skip-name-resolve",
                "--skip-log-bin",
                # Nothing here has to survive a power cut.
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=OFF",
                "--performance-schema=OFF",
                *more,
            ]
            server = subprocess.Popen([*program, *options], stdout=log, stderr=log)
            try:
                wait_for_server(server, port, folder / "log")
                yield f"mysql://portal:{password}@127.0.0.1:{port}/portal?ssl_mode=REQUIRED"
            finally:
                server.terminate()
                server.wait()


if __name__ == "__main__":
    unpack()
    with mysql() as url:
        command = subprocess.run(sys.argv[1:], env={**os.environ, "DATABASE_URL": url})
    sys.exit(command.returncode)
