"""Every statement that can change a row, on every protected table: the row stays as it was."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, models, transaction

from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.models import Diagnosis
from diagnosis.models.triggers import RULES
from patients.models import Patient, Specimen
from patients.services import specimen_update
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import FakePredictor, smear_jpeg
from tests.diagnosis.made.signing import read_case, sign
from webapp.audit.rules import column, keys, primary, rules_by_event

pytestmark = pytest.mark.django_db
PROTECTED = sorted(
    {model for model, _ in rules_by_event(apps.get_models(), RULES)},
    key=lambda model: model._meta.label,
)
IS_SQLITE = connection.vendor == "sqlite"
Row = dict[str, Any]
Statements = Iterator[tuple[str, list[Any]]]


@pytest.fixture
def records(
    clinician: User, specimen: Specimen, other_specimen: Specimen, predictor: FakePredictor
) -> list[Any]:
    """Two cases of two patients, each signed, opened by a correction, a field of it withdrawn, and
    signed anew; and a field of no case."""
    other = Patient.objects.create(medical_record_number="MRN-2", name="Berta Other")
    Specimen.objects.filter(pk=other_specimen.pk).update(patient=other)
    for number, of in enumerate((specimen, other_specimen)):
        case = read_case(clinician, of)
        sign(clinician, case)
        specimen_update(actor=clinician, specimen=of, stain="giemsa", reason="Misread.")
        fields = Diagnosis.objects.filter(specimen=of)
        field_withdraw(actor=clinician, diagnosis=fields.latest("pk"), reason="Of another.")
        sign(clinician, case, comment=f"Blasts, {number}.")
    run_field(create_field(clinician, smear_jpeg(2)))
    before = everything()
    assert all(len(rows) > 1 for rows in before), "each statement needs rows to try itself on"
    return before


def everything() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in PROTECTED]


def stored(model: type[models.Model]) -> list[Row]:
    """The rows as the database keeps them."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {model._meta.db_table} ORDER BY 1")
        names = [found[0] for found in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def made_at(model: type[models.Model]) -> str:
    """The column that says when a row was made, which no table lets change."""
    times = [f for f in model._meta.concrete_fields if isinstance(f, models.DateTimeField)]
    return next(field.column for field in times if not field.null)


def inserted(table: str, row: Row) -> tuple[str, list[Any]]:
    marks = ", ".join(["%s"] * len(row))
    return f"{table} ({', '.join(row)}) VALUES ({marks})", list(row.values())


def insertions(model: type[models.Model]) -> Statements:
    """A row with a key of another, one statement for each way and key."""
    table, pk, when = model._meta.db_table, column(model, primary(model)), made_at(model)
    for key in keys(model):
        row = stored(model)[0]
        if key != (pk,):
            del row[pk]
        into, values = inserted(table, row)
        if IS_SQLITE:
            verbs = ["REPLACE INTO", "INSERT OR REPLACE INTO", "INSERT OR FAIL INTO"]
            ends = [f"ON CONFLICT DO UPDATE SET {when} = '2001-01-01'", "ON CONFLICT DO NOTHING"]
        else:
            verbs = ["REPLACE INTO", "REPLACE LOW_PRIORITY INTO"]
            ends = [f"ON DUPLICATE KEY UPDATE {when} = '2001-01-01'"]
        yield from ((f"{verb} {into}", values) for verb in verbs)
        yield from ((f"INSERT INTO {into} {end}", values) for end in ends)
        names = ", ".join(row)
        yield f"REPLACE INTO {table} ({names}) SELECT {names} FROM {table}", []
        if not IS_SQLITE:
            pairs = ", ".join(f"{name} = %s" for name in row)
            yield f"REPLACE INTO {table} SET {pairs}", values
            yield f"INSERT IGNORE INTO {into} {ends[0]}", values
        elif key == (pk,):
            for rowid in ("rowid", "oid", "_rowid_"):
                yield f"REPLACE INTO {into.replace(f'({pk},', f'({rowid},')}", values


def changes(model: type[models.Model]) -> Statements:
    """A change of a row where it stands."""
    table, pk, when = model._meta.db_table, column(model, primary(model)), made_at(model)
    row, other = stored(model)[:2]
    yield f"UPDATE {table} SET {when} = '2001-01-01'", []
    yield f"UPDATE {table} SET {pk} = {pk} + 100000", []
    yield f"UPDATE {table} SET {pk} = 0 WHERE {pk} = %s", [row[pk]]
    yield f"DELETE FROM {table} WHERE {pk} = %s", [row[pk]]
    if IS_SQLITE:
        yield f"UPDATE {table} SET {when} = u.last_name FROM auth_user u", []
        for how in ("OR REPLACE", "OR FAIL", "OR ROLLBACK"):
            for key in keys(model):
                pairs = ", ".join(f"{name} = %s" for name in key)
                taken = [*(row[name] for name in key), other[pk]]
                yield f"UPDATE {how} {table} SET {pairs} WHERE {pk} = %s", taken
        yield f"UPDATE OR REPLACE {table} SET rowid = %s WHERE rowid = %s", [row[pk], other[pk]]
    else:
        yield f"UPDATE IGNORE {table} SET {when} = '2001-01-01'", []
        joined = f"{table} a JOIN auth_user u"
        yield f"UPDATE {joined} SET a.{when} = '2001-01-01', u.last_name = 'x'", []
        yield f"DELETE a FROM {joined}", []
        yield f"DELETE FROM a USING {joined}", []
        yield f"DELETE IGNORE FROM {table}", []


def refusal(statement: str, values: list[Any]) -> str:
    """What the database says; empty if it carries the statement out."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, values)
    except DatabaseError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("statements", [insertions, changes])
def test_no_statement_changes_a_row(
    records: list[Any], statements: Callable[[type[models.Model]], Statements]
) -> None:
    tried = [found for model in PROTECTED for found in statements(model)]
    refused = {statement: refusal(statement, values) for statement, values in tried}
    assert len(tried) > 8 * len(PROTECTED)
    assert [said for said in refused.items() if "is history" not in said[1]] == []
    assert everything() == records


def test_what_ignores_a_taken_key_changes_nothing(records: list[Any]) -> None:
    """It may be refused, or do nothing."""
    verb = "INSERT OR IGNORE INTO" if IS_SQLITE else "INSERT IGNORE INTO"
    for model in PROTECTED:
        into, values = inserted(model._meta.db_table, stored(model)[0])
        said = refusal(f"{verb} {into}", values)
        assert not said or "another row has this key" in said
    assert everything() == records


def test_a_taken_key_is_an_integrity_error(records: list[Any]) -> None:
    """So Django tells it to whoever lost a race, e.g. in ``get_or_create``."""
    for model in PROTECTED:
        into, values = inserted(model._meta.db_table, stored(model)[0])
        with pytest.raises(IntegrityError, match="another row has this key"), transaction.atomic():
            connection.cursor().execute(f"INSERT INTO {into}", values)


@pytest.mark.parametrize("model", PROTECTED, ids=lambda model: model._meta.model_name)
def test_every_key_that_the_database_holds_is_guarded(model: type[models.Model]) -> None:
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if IS_SQLITE:
            cursor.execute(
                "SELECT list.name, info.name FROM pragma_index_list(%s) list"
                " JOIN pragma_index_info(list.name) info WHERE list.[unique]",
                [table],
            )
        else:
            cursor.execute(
                "SELECT index_name, column_name FROM information_schema.statistics"
                " WHERE table_schema = DATABASE() AND table_name = %s AND NOT non_unique",
                [table],
            )
        unique: dict[str, set[str]] = {"": {column(model, primary(model))}}
        for index, name in cursor.fetchall():
            unique.setdefault(index, set()).add(name)
    assert {frozenset(key) for key in keys(model)} == {frozenset(key) for key in unique.values()}


@pytest.mark.parametrize("table", [model._meta.db_table for model in PROTECTED])
def test_no_deletion_elsewhere_takes_rows_along(table: str) -> None:
    """MariaDB and MySQL tell no trigger of what a foreign key deletes or sets to NULL."""
    with connection.cursor() as cursor:
        if IS_SQLITE:
            cursor.execute(f"PRAGMA foreign_key_list({table})")
            rules = {rule for row in cursor.fetchall() for rule in row[5:7]}
        else:
            cursor.execute(
                "SELECT delete_rule, update_rule FROM information_schema.referential_constraints"
                " WHERE constraint_schema = DATABASE() AND table_name = %s",
                [table],
            )
            rules = {rule for row in cursor.fetchall() for rule in row}
    assert rules <= {"NO ACTION", "RESTRICT"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(IS_SQLITE, reason="SQLite loads no files")
def test_no_file_is_loaded_over_a_row(records: list[Any], tmp_path: Path) -> None:
    import MySQLdb

    with closing(
        MySQLdb.connect(**{**connection.get_connection_params(), "local_infile": 1})
    ) as another:
        for model in PROTECTED:
            row = stored(model)[0]
            values = ["\\N" if value is None else str(value) for value in row.values()]
            (tmp_path / "row.tsv").write_text("\t".join(values) + "\n")
            load = (
                f"LOAD DATA LOCAL INFILE '{tmp_path}/row.tsv' REPLACE"
                f" INTO TABLE {model._meta.db_table} ({', '.join(row)})"
            )
            with pytest.raises(MySQLdb.Error, match="is history"):
                another.cursor().execute(load)
    assert everything() == records
