"""A MariaDB server on which web and worker run as a user that can rewrite nothing.

The server writes a binary log, as MySQL does unless it is told otherwise.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.conftest import ROOT
from tests.on_mariadb import mariadb
from tests.product import KEY, Product, clean_environment, copy_product
from tests.waiting import WITHIN_S

MySQLdb = pytest.importorskip("MySQLdb")
pytestmark = [
    pytest.mark.db,
    pytest.mark.skipif(
        "mysql" in os.environ.get("DATABASE_URL", ""), reason="has a server of its own in any run"
    ),
]
TRUST = "SET GLOBAL log_bin_trust_function_creators = {}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The DATABASE_URL of its administrator."""
    with mariadb("--log-bin=binlog", "--server-id=1") as url:
        yield url


def execute(url: str, *statements: str) -> list[Any]:
    """The rows of the last statement."""
    parts = urlsplit(url)
    login = {"host": parts.hostname, "port": parts.port, "user": parts.username}
    name = parts.path.strip("/")
    with closing(MySQLdb.connect(**login, password=parts.password, database=name)) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        return list(cursor.fetchall())


@pytest.fixture
def users(server: str) -> Iterator[dict[str, str]]:
    """An empty database; addresses by who may: all of it (owner), or work with rows (weak)."""
    login = urlunsplit(urlsplit(server)._replace(path="/mysql"))
    execute(
        login,
        TRUST.format(1),
        "CREATE DATABASE laboratory CHARACTER SET utf8mb4",
        "CREATE USER owner@'127.0.0.1' IDENTIFIED BY 'one'",
        "GRANT ALL ON laboratory.* TO owner@'127.0.0.1'",
        "CREATE USER weak@'127.0.0.1' IDENTIFIED BY 'other'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON laboratory.* TO weak@'127.0.0.1'",
    )
    at = f"127.0.0.1:{urlsplit(server).port}/laboratory"
    yield {"owner": f"mysql://owner:one@{at}", "weak": f"mysql://weak:other@{at}", "root": login}
    execute(
        login,
        "DROP DATABASE laboratory",
        "DROP USER owner@'127.0.0.1'",
        "DROP USER weak@'127.0.0.1'",
    )


def run(url: str, media: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = clean_environment(
        DATABASE_URL=url,
        SECRET_KEY=KEY,
        MEDIA_ROOT=str(media),
        DJANGO_SETTINGS_MODULE="tests.settings",
    )
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def test_a_whole_case_by_a_user_that_can_rewrite_nothing(
    users: dict[str, str], tmp_path: Path
) -> None:
    migrated = run(users["owner"], tmp_path, "manage.py", "migrate", "--verbosity=0")
    assert migrated.returncode == 0, migrated.stderr
    case = run(users["weak"], tmp_path, "-m", "tests.diagnosis.whole_case")
    assert case.returncode == 0, case.stderr
    lines = case.stdout.splitlines()
    assert "case amended 2 2 2" in lines
    assert "fields screened screened" in lines
    assert [line for line in lines if line[0] == "/" and not line.endswith(" 200")] == []

    checked = run(users["owner"], tmp_path, "manage.py", "check_integrity")
    assert "2 diagnoses checked, all agree" in checked.stdout, checked.stdout + checked.stderr
    blind = run(users["weak"], tmp_path, "manage.py", "check_integrity")
    assert blind.returncode == 1
    assert blind.stdout.splitlines() == [
        "triggers: the database user weak may not see them; run this as the user that migrates, "
        "which has the privilege TRIGGER"
    ]
    for statement in (
        "TRUNCATE audit_auditevent",
        "TRUNCATE diagnosis_review",
        "DROP TRIGGER history_audit_auditevent_delete",
        "CREATE OR REPLACE TABLE diagnosis_review (id INT)",
        "ALTER TABLE diagnosis_report DROP COLUMN content",
        "RENAME TABLE diagnosis_report TO another",
        "DROP TABLE diagnosis_report",
    ):
        with pytest.raises(MySQLdb.OperationalError, match="command denied"):
            execute(users["weak"], statement)
    for statement in ("DELETE FROM audit_auditevent", "UPDATE diagnosis_review SET label = ''"):
        with pytest.raises(MySQLdb.OperationalError, match="is history"):
            execute(users["weak"], statement)
    assert execute(users["owner"], "SELECT COUNT(*) FROM diagnosis_review") == [(2,)]


def test_triggers_of_a_user_that_has_become_weak_are_made_by_the_new_one(
    users: dict[str, str], tmp_path: Path
) -> None:
    """A trigger acts with the rights of who made it."""
    execute(users["root"], "GRANT ALL ON laboratory.* TO weak@'127.0.0.1'")
    run(users["weak"], tmp_path, "manage.py", "migrate", "--verbosity=0")
    execute(
        users["root"],
        "REVOKE ALL ON laboratory.* FROM weak@'127.0.0.1'",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON laboratory.* TO weak@'127.0.0.1'",
    )
    run(users["owner"], tmp_path, "manage.py", "migrate", "--verbosity=0")
    query = "SELECT DISTINCT definer FROM information_schema.triggers"
    assert execute(users["owner"], query) == [("owner@127.0.0.1",)]


def test_who_may_make_no_triggers_is_told_before_anything_is_migrated(
    users: dict[str, str], tmp_path: Path
) -> None:
    execute(users["root"], TRUST.format(0))
    mend = "Run `SET GLOBAL log_bin_trust_function_creators = 1`"
    refused = run(users["owner"], tmp_path, "manage.py", "migrate")
    assert refused.returncode == 1
    assert mend in refused.stderr
    assert "Traceback" not in refused.stderr
    assert execute(users["owner"], "SHOW TABLES") == []

    root = copy_product(tmp_path / "product")
    with Product(root, {"DATABASE_URL": users["owner"]}) as product:
        product.process.wait(timeout=WITHIN_S)
        said = product.log.read_text()
    assert mend in said
    assert "does not answer" not in said
    assert "Traceback" not in said
    assert execute(users["owner"], "SHOW TABLES") == []

    execute(users["root"], TRUST.format(1))
    assert run(users["owner"], tmp_path, "manage.py", "migrate").returncode == 0
    execute(users["root"], TRUST.format(0))
    again = run(users["owner"], tmp_path, "manage.py", "migrate")
    assert again.returncode == 0, "nothing is to be made, so nothing is asked"
    weak = run(users["weak"], tmp_path, "manage.py", "migrate")
    assert weak.returncode == 1
    assert "The database user weak@127.0.0.1 may not make triggers" in weak.stderr
