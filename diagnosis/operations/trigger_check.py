"""The system check that asks before a migration whether the database lets history be protected."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import Error, Tags, register
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from diagnosis.models.triggers import history_to_protect
from webapp.audit.triggers import privilege_held, triggers_visible


@register(Tags.database)
def history_can_be_protected(databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    """``diagnosis.E010``, ``E011``: tables would be made, and then no trigger.

    MariaDB and MySQL cannot take the tables back then. Where no trigger is to be made, nothing is
    asked of the server.
    """
    return [
        error
        for alias in databases or []
        if connections[alias].vendor == "mysql"
        for error in _privilege_errors(alias)
    ]


def _privilege_errors(alias: str) -> list[Error]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER(), DATABASE(), @@log_bin")
        user, name, logs = cursor.fetchone()
    if not triggers_visible(alias):
        return [
            Error(
                f"The database user {user} may not make triggers, which protect history.",
                hint="Migrate as the user that owns the tables; web and worker need no more than "
                f"this one. Or run `GRANT ALL ON {name}.* TO` that user.",
                id="diagnosis.E010",
            )
        ]
    if logs and not _may_make_with_log(alias) and _has_to_make(alias):
        return [
            Error(
                "The database server writes a binary log and lets nobody without the privilege "
                "SUPER make triggers, which protect history.",
                hint="Run `SET GLOBAL log_bin_trust_function_creators = 1` as its administrator, "
                "and say log_bin_trust_function_creators=1 in its configuration.",
                id="diagnosis.E011",
            )
        ]
    return []


def _may_make_with_log(alias: str) -> bool:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT @@log_bin_trust_function_creators")
        (trusted,) = cursor.fetchone()
    return bool(trusted) or privilege_held("SUPER", alias)


def _has_to_make(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return True
    return bool(history_to_protect(alias))
