"""Triggers that make the database itself refuse to rewrite history.

They are made after every migration: SQLite loses a table's triggers when a migration has to
build the table anew, and newer code may protect more. Whoever may drop triggers can still do so:
they stop accidents, other programs and injected statements, and a missing one shows in
``triggers_missing``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from webapp.audit.append_only import AppendOnly

PREFIX = "history_"


@dataclass(frozen=True)
class Frozen:
    """Columns of a table that never change once its row has a certain status, nor does it go.

    Attributes:
        model: whose rows.
        column, values: the row is frozen when ``column`` holds one of ``values``.
        columns: that are frozen.
    """

    model: type[models.Model]
    column: str
    values: tuple[str, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Guard:
    """A change of a table's row that is refused when a condition holds.

    Attributes:
        model: whose rows.
        event: ``insert``, ``update`` or ``delete``.
        name: tells it from other triggers of the table.
        condition: SQL on ``NEW`` and ``OLD`` that SQLite and MariaDB both understand; empty for
            always.
    """

    model: type[models.Model]
    event: str
    name: str
    condition: str = ""


Rule = Frozen | Guard


def triggers_make(
    app: AppConfig, using: str = DEFAULT_DB_ALIAS, rules: Iterable[Rule] = ()
) -> None:
    """Make the triggers of an app's models, in place of others of the same names: what an earlier
    version of the code made may protect fewer columns. Those that are as they should be stay:
    nothing is unprotected for a moment, and no table is locked.

    Args:
        rules: what more than the app's append-only models is protected.
    """
    connection = connections[using]
    there = _existing(connection)
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for table, name, statement in _wanted(connection, app, rules):
            if table in tables and there.get(name) != statement:
                cursor.execute(f"DROP TRIGGER IF EXISTS {connection.ops.quote_name(name)}")
                cursor.execute(statement)


def triggers_missing(
    app: AppConfig, using: str = DEFAULT_DB_ALIAS, rules: Iterable[Rule] = ()
) -> list[str]:
    """Names of an app's triggers that are not there."""
    connection = connections[using]
    there = _existing(connection)
    return [name for _, name, _ in _wanted(connection, app, rules) if name not in there]


def triggers_drop(using: str = DEFAULT_DB_ALIAS) -> None:
    """Take all of them away, e.g. for a migration that has to mend old rows."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for name in _existing(connection):
            cursor.execute(f"DROP TRIGGER {connection.ops.quote_name(name)}")


def _existing(connection: BaseDatabaseWrapper) -> dict[str, str]:
    """Names and statements of the triggers that are there."""
    if connection.vendor == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s"
    else:
        query = (
            "SELECT trigger_name, CONCAT('CREATE TRIGGER `', trigger_name, '` ', action_timing, "
            "' ', event_manipulation, ' ON `', event_object_table, '` FOR EACH ROW ', "
            "action_statement) FROM information_schema.triggers "
            "WHERE trigger_schema = DATABASE() AND trigger_name LIKE %s"
        )
    with connection.cursor() as cursor:
        cursor.execute(query, [PREFIX + "%"])
        return dict(cursor.fetchall())


def _wanted(
    connection: BaseDatabaseWrapper, app: AppConfig, rules: Iterable[Rule]
) -> Iterator[tuple[str, str, str]]:
    """Table, name and statement of each trigger."""
    for model in app.get_models():
        if issubclass(model, AppendOnly):
            table = model._meta.db_table
            for event in ("update", "delete"):
                yield table, *_trigger(connection, table, event)
    for rule in rules:
        table = rule.model._meta.db_table
        if isinstance(rule, Guard):
            yield table, *_trigger(connection, table, rule.event, rule.condition, rule.name)
            continue
        yield table, *_trigger(connection, table, "update", _rewrites(connection, rule))
        yield table, *_trigger(connection, table, "delete")


def _trigger(
    connection: BaseDatabaseWrapper, table: str, event: str, condition: str = "", why: str = ""
) -> tuple[str, str]:
    """Name and statement of a trigger that refuses ``event`` on ``table``."""
    name = f"{PREFIX}{table}_{why or event}"
    quoted = connection.ops.quote_name
    begin = f"CREATE TRIGGER {quoted(name)} BEFORE {event.upper()} ON {quoted(table)} FOR EACH ROW"
    message = f"{table} is history: no {event}{f' ({why})' if why else ''}"
    if connection.vendor == "sqlite":
        when = f" WHEN {condition}" if condition else ""
        return name, f"{begin}{when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    signal = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'"
    if condition:
        return name, f"{begin} IF {condition} THEN {signal}; END IF"
    return name, f"{begin} {signal}"


def _rewrites(connection: BaseDatabaseWrapper, rule: Frozen) -> str:
    """SQL for: the row is frozen, and one of its frozen columns would become another."""
    quoted = connection.ops.quote_name
    is_other = (
        "OLD.{0} IS NOT NEW.{0}" if connection.vendor == "sqlite" else "NOT (OLD.{0} <=> NEW.{0})"
    )
    changed = " OR ".join(is_other.format(quoted(column)) for column in rule.columns)
    values = ", ".join(f"'{value}'" for value in rule.values)
    return f"OLD.{quoted(rule.column)} IN ({values}) AND ({changed})"
