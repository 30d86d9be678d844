"""serving/mysql/app_user.sh under MariaDB: whom it makes, and what that user may."""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.product import ROOT
from tests.servers.mariadb import mariadb
from tests.waiting import WITHIN_S

MySQLdb = pytest.importorskip("MySQLdb")
SCRIPT = ROOT / "serving/mysql/app_user.sh"
PASSWORD = """a'b"c\\d $(e) `f` \\' %"""


def run_script(folder: Path, url: str) -> None:
    """As the container does, but for where server and secrets are."""
    parts = urlsplit(url)
    (folder / "mysql_root_password").write_text(f"{parts.password}\n")
    client = folder / "mysql"
    client.write_text(
        f"#!/bin/sh\nexec {shutil.which('mariadb')} --no-defaults --protocol=tcp"
        f" --host={parts.hostname} --port={parts.port} --user={parts.username}\n"
    )
    client.chmod(0o755)
    subprocess.run(
        ["sh", "-c", SCRIPT.read_text().replace("/run/secrets/", f"{folder}/")],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "MYSQL_DATABASE": "portal",
            "MYSQL_USER": "owner",
        },
        check=True,
        timeout=WITHIN_S,
    )


def test_it_makes_a_user_that_may_read_and_write_rows(tmp_path: Path) -> None:
    with mariadb() as url:
        root = urlsplit(url)
        with closing(
            MySQLdb.connect(
                host=root.hostname, port=root.port, user=root.username, password=root.password
            )
        ) as made:
            made.cursor().execute("CREATE USER owner@'%'")
        for password in ("the first", PASSWORD):  # again, as after another password
            (tmp_path / "mysql_app_password").write_text(f"{password}\n")
            run_script(tmp_path, url)
        parts = urlsplit(url)
        connection = MySQLdb.connect(
            host=parts.hostname, port=parts.port, user="portal_app", password=PASSWORD
        )
        cursor = connection.cursor()
        cursor.execute("SHOW GRANTS")
        granted = {row[0].split(" TO ")[0] for row in cursor.fetchall()}
        connection.close()
    assert granted == {
        "GRANT USAGE ON *.*",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON `portal`.*",
    }
