"""Triggers that make the database itself refuse to rewrite history.

They are made after every migration: SQLite loses a table's triggers when a migration has to
build the table anew, and newer code may protect more. Whoever may drop triggers can still do so:
they stop accidents, other programs and injected statements, and a missing one shows in
``triggers_amiss``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from webapp.audit.rules import Frozen, KeyTaken, Rule, column, keys, primary, rules_by_event

PREFIX = "history_"


@dataclass(frozen=True)
class _Trigger:
    """One that is there, or is to be; one a table and event.

    Attributes:
        statement: that makes it.
        own: whether the user that is connected has made it, with whose rights it acts.
    """

    table: str
    name: str
    statement: str
    own: bool = True


def triggers_make(
    app: AppConfig, using: str = DEFAULT_DB_ALIAS, rules: Iterable[Rule] = ()
) -> None:
    """Make the triggers of an app's models, in place of others on the same tables: what an earlier
    version of the code made may protect less. Those that are as they should be stay: nothing is
    unprotected for a moment, and no table is locked.

    Args:
        rules: what more than the app's append-only models is protected.
    """
    connection = connections[using]
    quoted = connection.ops.quote_name
    wanted = list(_wanted(connection, app, rules))
    there = _existing(connection)
    names, tables = {trigger.name for trigger in wanted}, {trigger.table for trigger in wanted}
    with connection.cursor() as cursor:
        for trigger in _not_there(wanted, there):
            cursor.execute(f"DROP TRIGGER IF EXISTS {quoted(trigger.name)}")
            cursor.execute(trigger.statement)
        for name, trigger in there.items():
            if trigger.table in tables and name not in names:
                cursor.execute(f"DROP TRIGGER {quoted(name)}")


def triggers_to_make(
    app: AppConfig, using: str = DEFAULT_DB_ALIAS, rules: Iterable[Rule] = ()
) -> list[str]:
    """Names of those that ``triggers_make`` would make."""
    connection = connections[using]
    wanted = _wanted(connection, app, rules)
    return [trigger.name for trigger in _not_there(wanted, _existing(connection))]


def triggers_amiss(
    app: AppConfig, using: str = DEFAULT_DB_ALIAS, rules: Iterable[Rule] = ()
) -> list[str]:
    """Names of an app's triggers that are not there, or are not what this code would make."""
    connection = connections[using]
    there = {name: trigger.statement for name, trigger in _existing(connection).items()}
    return [
        trigger.name
        for trigger in _wanted(connection, app, rules)
        if there.get(trigger.name) != trigger.statement
    ]


def triggers_drop(using: str = DEFAULT_DB_ALIAS) -> None:
    """Take all of them away, e.g. for a migration that has to mend old rows."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for name in _existing(connection):
            cursor.execute(f"DROP TRIGGER {connection.ops.quote_name(name)}")


def triggers_visible(using: str = DEFAULT_DB_ALIAS) -> bool:
    """Whether this user would see the triggers that are there: MariaDB and MySQL show what they
    do, as they let them be made, to whoever has the privilege TRIGGER."""
    connection = connections[using]
    if connection.vendor == "sqlite" or privilege_held("TRIGGER", using):
        return True
    # Had by a role; without it MariaDB shows names alone, and MySQL nothing.
    return any(trigger.statement for trigger in _existing(connection).values())


def privilege_held(privilege: str, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Whether the user of a MariaDB or MySQL database has been granted ``privilege`` on it."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        user, _, host = cursor.fetchone()[0].rpartition("@")
        cursor.execute(
            "SELECT grantee, privilege_type FROM information_schema.user_privileges"
            " UNION SELECT grantee, privilege_type FROM information_schema.schema_privileges"
            " WHERE DATABASE() LIKE table_schema"
        )
        return (f"'{user}'@'{host}'", privilege) in cursor.fetchall()


def _not_there(wanted: Iterable[_Trigger], there: Mapping[str, _Trigger]) -> list[_Trigger]:
    """Another user's are to be made again: a trigger acts with the rights of who made it, which
    may be taken from that user."""
    return [trigger for trigger in wanted if there.get(trigger.name) != trigger]


def _existing(connection: BaseDatabaseWrapper) -> dict[str, _Trigger]:
    """The triggers that are there, as far as this user may see them, by name."""
    if connection.vendor == "sqlite":
        query = (
            "SELECT tbl_name, name, sql, 1 FROM sqlite_master"
            " WHERE type = 'trigger' AND name LIKE %s"
        )
    else:
        query = (
            "SELECT event_object_table, trigger_name, CONCAT('CREATE TRIGGER `', trigger_name,"
            " '` ', action_timing, ' ', event_manipulation, ' ON `', event_object_table,"
            " '` FOR EACH ROW ', action_statement), definer = CURRENT_USER()"
            " FROM information_schema.triggers"
            " WHERE trigger_schema = DATABASE() AND trigger_name LIKE %s"
        )
    with connection.cursor() as cursor:
        cursor.execute(query, [PREFIX + "%"])
        found = [
            _Trigger(table, name, statement or "", bool(own))
            for table, name, statement, own in cursor.fetchall()
        ]
    return {trigger.name: trigger for trigger in found}


def _wanted(
    connection: BaseDatabaseWrapper, app: AppConfig, rules: Iterable[Rule]
) -> Iterator[_Trigger]:
    """The triggers that are to be, on the tables that are there."""
    by_event = rules_by_event(app.get_models(), rules)
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        columns = {
            model: _columns(connection, cursor, model._meta.db_table)
            for model, _ in by_event
            if model._meta.db_table in tables
        }
    for (model, event), these in by_event.items():
        if model in columns:
            sql = _Sql(connection, model, columns[model])
            yield sql.trigger(event, these)


def _columns(connection: BaseDatabaseWrapper, cursor: Any, table: str) -> set[str]:
    name = connection.ops.quote_name(table)
    cursor.execute(f"SELECT * FROM {name} WHERE 0 = 1")  # noqa: S608 - a model's table
    return {column[0] for column in cursor.description}


class _Sql:
    """SQL for one table.

    Attributes:
        columns: that the table has now; a migration may not have made the newest yet.
    """

    def __init__(
        self, connection: BaseDatabaseWrapper, model: type[models.Model], columns: set[str]
    ) -> None:
        self._sqlite = connection.vendor == "sqlite"
        self._quoted = connection.ops.quote_name
        self._model = model
        self._columns = columns
        self._table = model._meta.db_table

    def trigger(self, event: str, rules: Iterable[Rule]) -> _Trigger:
        """A trigger that refuses ``event`` by the first rule that holds."""
        name = f"{PREFIX}{self._table}_{event}"
        begin = (
            f"CREATE TRIGGER {self._quoted(name)} BEFORE {event.upper()}"
            f" ON {self._quoted(self._table)} FOR EACH ROW"
        )
        refusals = [(self._condition(rule), self._refusal(event, rule)) for rule in rules]
        if self._sqlite:
            cases = " ".join(f"WHEN {when or 1} THEN {refuse}" for when, refuse in refusals)
            return _Trigger(self._table, name, f"{begin} BEGIN SELECT CASE {cases} END; END")
        cases = " ELSEIF ".join(f"{when or 1} THEN {refuse};" for when, refuse in refusals)
        return _Trigger(self._table, name, f"{begin} IF {cases} END IF")

    def _refusal(self, event: str, rule: Rule) -> str:
        why = f" ({rule.why})" if rule.why else ""
        message = f"{self._table} is history: no {event}{why}"
        if self._sqlite:
            return f"RAISE(ABORT, '{message}')"
        if isinstance(rule, KeyTaken):
            # A duplicate key, as the server would say itself: whoever lost a race reads it so.
            return f"SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062, MESSAGE_TEXT = '{message}'"
        return f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'"

    def _condition(self, rule: Rule) -> str:
        if isinstance(rule, KeyTaken):
            return self._taken(rule.event)
        if isinstance(rule, Frozen):
            changed = self._changed(column(self._model, field) for field in rule.fields)
            return f"({rule.condition}) AND ({changed})" if rule.condition else changed
        return rule.condition

    def _changed(self, columns: Iterable[str]) -> str:
        """One of ``columns`` would become another."""
        is_other = "OLD.{0} IS NOT NEW.{0}" if self._sqlite else "NOT (OLD.{0} <=> NEW.{0})"
        there = [self._quoted(name) for name in columns if name in self._columns]
        return " OR ".join(is_other.format(name) for name in there) or "0 = 1"

    def _taken(self, event: str) -> str:
        """Another row has one of the keys. NULL is nobody's key."""
        table = self._quoted(self._table)
        pk = self._quoted(column(self._model, primary(self._model)))
        found = []
        for key in keys(self._model):
            same = " AND ".join(f"t.{name} = NEW.{name}" for name in map(self._quoted, key))
            row = f"SELECT 1 FROM {table} t WHERE {same}"  # noqa: S608 - names of a model
            if event == "insert":
                found.append(f"EXISTS ({row})")
            else:
                another = f"EXISTS ({row} AND t.{pk} <> OLD.{pk})"
                found.append(f"({self._changed(key)}) AND {another}")
        return " OR ".join(found)
