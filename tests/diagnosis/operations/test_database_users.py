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
from django.core.management import execute_from_command_line

from tests.conftest import ROOT
from tests.diagnosis.killed.forked import said_by
from tests.diagnosis.made import whole_case
from tests.product import KEY, Product, clean_environment, copy_product
from tests.servers.mariadb import mariadb
from tests.waiting import WITHIN_S

MySQLdb = pytest.importorskip("MySQLdb")
pytestmark = [
    pytest.mark.db,
    pytest.mark.xdist_group("database_users"),  # one server, migrated once
    pytest.mark.skipif(
        "mysql" in os.environ.get("DATABASE_URL", ""), reason="has a server of its own in any run"
    ),
]
WEAK = "GRANT SELECT, INSERT, UPDATE, DELETE ON laboratory.* TO weak@'127.0.0.1'"
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


@pytest.fixture(scope="module")
def users(server: str) -> dict[str, str]:
    """Addresses of two databases by who may: all of it (owner), or work with rows (weak).

    The database ``empty`` stays so.
    """
    login = urlunsplit(urlsplit(server)._replace(path="/mysql"))
    execute(
        login,
        "CREATE USER owner@'127.0.0.1' IDENTIFIED BY 'one'",
        "CREATE USER weak@'127.0.0.1' IDENTIFIED BY 'other'",
        "CREATE DATABASE laboratory CHARACTER SET utf8mb4",
        "CREATE DATABASE empty CHARACTER SET utf8mb4",
        "GRANT ALL ON laboratory.* TO owner@'127.0.0.1'",
        "GRANT ALL ON empty.* TO owner@'127.0.0.1'",
        WEAK,
    )
    at = f"127.0.0.1:{urlsplit(server).port}"
    return {
        "owner": f"mysql://owner:one@{at}/laboratory",
        "weak": f"mysql://weak:other@{at}/laboratory",
        "empty": f"mysql://owner:one@{at}/empty",
        "root": login,
    }


@pytest.fixture(scope="module")
def migrated(users: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """``users``, and the laboratory's database is migrated by its owner."""
    execute(users["root"], TRUST.format(1))
    made = run(users["owner"], tmp_path_factory.mktemp("media"), "manage.py", "migrate")
    assert made.returncode == 0, made.stderr
    return users


def manage(url: str, media: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """As ``run`` of ``manage.py``, in a process that has loaded the product."""
    words = ["manage.py", *command]
    return said_by(
        execute_from_command_line, words, folder=media, database=url, MEDIA_ROOT=str(media)
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
    migrated: dict[str, str], tmp_path: Path
) -> None:
    users = migrated
    case = said_by(
        whole_case.main, folder=tmp_path, database=users["weak"], MEDIA_ROOT=str(tmp_path)
    )
    assert case.returncode == 0, case.stderr
    lines = case.stdout.splitlines()
    assert "case amended 2 2 2" in lines
    assert "fields screened screened" in lines
    assert [line for line in lines if line[0] == "/" and not line.endswith(" 200")] == []

    checked = manage(users["owner"], tmp_path, "check_integrity")
    assert "2 diagnoses checked, all agree" in checked.stdout, checked.stdout + checked.stderr
    blind = manage(users["weak"], tmp_path, "check_integrity")
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
    migrated: dict[str, str], tmp_path: Path
) -> None:
    """A trigger acts with the rights of who made it."""
    users, root = migrated, urlunsplit(urlsplit(migrated["root"])._replace(path="/laboratory"))
    execute(root, TRUST.format(1), "GRANT ALL ON laboratory.* TO weak@'127.0.0.1'")
    names = execute(
        root,
        "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    )
    assert names
    execute(root, *(f"DROP TRIGGER {name}" for (name,) in names))
    query = "SELECT DISTINCT definer FROM information_schema.triggers"
    assert manage(users["weak"], tmp_path, "migrate", "--verbosity=0").returncode == 0
    assert execute(users["owner"], query) == [("weak@127.0.0.1",)]
    execute(root, "REVOKE ALL ON laboratory.* FROM weak@'127.0.0.1'", WEAK)
    assert manage(users["owner"], tmp_path, "migrate", "--verbosity=0").returncode == 0
    assert execute(users["owner"], query) == [("owner@127.0.0.1",)]


def test_who_may_make_no_triggers_is_told_before_anything_is_migrated(
    users: dict[str, str], tmp_path: Path
) -> None:
    execute(users["root"], TRUST.format(0))
    mend = "Run `SET GLOBAL log_bin_trust_function_creators = 1`"
    refused = run(users["empty"], tmp_path, "manage.py", "migrate")
    assert refused.returncode == 1
    assert mend in refused.stderr
    assert "Traceback" not in refused.stderr
    assert execute(users["empty"], "SHOW TABLES") == []

    root = copy_product(tmp_path / "product")
    with Product(root, {"DATABASE_URL": users["empty"]}) as product:
        product.process.wait(timeout=WITHIN_S)
        said = product.log.read_text()
    assert mend in said
    assert "does not answer" not in said
    assert "Traceback" not in said
    assert execute(users["empty"], "SHOW TABLES") == []


def test_where_no_triggers_are_to_be_made_nobody_is_asked_for_the_right(
    migrated: dict[str, str], tmp_path: Path
) -> None:
    users = migrated
    execute(users["root"], TRUST.format(0))
    again = manage(users["owner"], tmp_path, "migrate")
    assert again.returncode == 0, "nothing is to be made, so nothing is asked"
    weak = manage(users["weak"], tmp_path, "migrate")
    assert weak.returncode == 1
    assert "The database user weak@127.0.0.1 may not make triggers" in weak.stderr
