"""Empties the tests' database between tests that commit, by the few tables that hold anything.

Django empties every table and then does all that a migration ends with, which takes longer than
most tests; and the triggers that keep history forbid it.
"""

from typing import Any

from django.core.management.commands import flush
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from webapp.audit.triggers import _existing as triggers_there
from webapp.audit.triggers import triggers_drop

# What migrating fills stays as it is, unless a test has changed it.
FILLED_BY_MIGRATE = (
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_content_type",
)
KEPT = {*FILLED_BY_MIGRATE, "django_migrations"}


class Flush(flush.Command):
    """As Django's, for the database of the tests."""

    as_migrated: dict[str, Any] = {}

    def handle(self, **options: Any) -> None:
        """Delete what tests have written; everything anew where that leaves something else."""
        using = options["database"]
        connection = connections[using]
        if using not in self.as_migrated or not _emptied(connection, self.as_migrated[using]):
            triggers_drop(using)
            super().handle(**options)  # ends as a migration does, which makes them again
            self.as_migrated[using] = _state(connection)


def _emptied(connection: BaseDatabaseWrapper, as_migrated: Any) -> bool:
    """Whether the database is, without any row of a test, as migrating left it."""
    if _state(connection) != as_migrated:
        return False
    quoted = connection.ops.quote_name
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [name for name in names if name not in KEPT]
    asked = " UNION ALL ".join(
        f"SELECT '{name}' AS name WHERE EXISTS (SELECT 1 FROM {quoted(name)})" for name in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        filled = [name for (name,) in cursor.fetchall()]
        protecting = [
            trigger
            for trigger in triggers_there(connection).values()
            if trigger.table in filled and " BEFORE DELETE " in trigger.statement
        ]
        for trigger in protecting:
            cursor.execute(f"DROP TRIGGER {quoted(trigger.name)}")
        with connection.constraint_checks_disabled():
            for table in filled:
                cursor.execute(f"DELETE FROM {quoted(table)}")
        for trigger in protecting:
            cursor.execute(trigger.statement)
    return True


def _state(connection: BaseDatabaseWrapper) -> Any:
    """The triggers, and the rows of what migrating fills."""
    with connection.cursor() as cursor:
        rows = {}
        for table in FILLED_BY_MIGRATE:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY id")
            rows[table] = cursor.fetchall()
    return triggers_there(connection), rows
