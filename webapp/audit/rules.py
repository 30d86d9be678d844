"""What the database is to refuse, as data; ``webapp.audit.triggers`` makes SQL of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import models

from webapp.audit.append_only import AppendOnly


@dataclass(frozen=True)
class Frozen:
    """Fields that keep their values.

    Attributes:
        model: whose rows.
        fields: names of those fields.
        condition: SQL on ``OLD`` and ``NEW`` for when they do; empty for always.
        why: stands in the refusal.
    """

    model: type[models.Model]
    fields: tuple[str, ...]
    condition: str = ""
    why: str = ""


@dataclass(frozen=True)
class Guard:
    """A change of a table's row that is refused when a condition holds.

    Attributes:
        model: whose rows.
        event: ``insert``, ``update`` or ``delete``.
        why: stands in the refusal.
        condition: SQL on ``NEW`` and ``OLD`` that SQLite, MariaDB and MySQL understand; empty for
            always.
    """

    model: type[models.Model]
    event: str
    why: str = ""
    condition: str = ""


@dataclass(frozen=True)
class KeyTaken:
    """A row that would come, by ``event``, to a key that another row holds.

    It is what REPLACE and its like do: they delete the row that is there, and SQLite tells no
    trigger of deletions about it. Every table with any rule has this one too.
    """

    model: type[models.Model]
    event: str

    @property
    def why(self) -> str:
        """Stands in the refusal."""
        return "another row has this key"


Rule = Frozen | Guard | KeyTaken


def fields_but(model: type[models.Model], *others: str) -> tuple[str, ...]:
    """Names of all fields of a table but ``others``: what is added later is among them."""
    names = {field.name for field in model._meta.concrete_fields}
    if unknown := set(others) - names:
        raise ValueError(f"{model._meta.label} has no field {', '.join(sorted(unknown))}.")
    return tuple(sorted(names - set(others)))


def keys(model: type[models.Model]) -> list[tuple[str, ...]]:
    """The columns of each key that no two rows share."""
    meta = model._meta
    unique: list[tuple[str, ...]] = [
        (field.name,) for field in meta.concrete_fields if field.unique
    ]
    unique += [tuple(names) for names in meta.unique_together]
    unique += [tuple(constraint.fields) for constraint in meta.total_unique_constraints]
    return [tuple(column(model, name) for name in names) for names in unique]


def column(model: type[models.Model], field: str) -> str:
    """The column that keeps a field."""
    return str(model._meta.get_field(field).column)  # type: ignore[union-attr]


def primary(model: type[models.Model]) -> str:
    """Name of the field that is the primary key."""
    assert model._meta.pk is not None  # noqa: S101 - for the type checker
    return model._meta.pk.name


def rules_by_event(
    protected: Iterable[type[models.Model]], rules: Iterable[Rule]
) -> dict[tuple[type[models.Model], str], list[Rule]]:
    """The rules of each table and event, in the order in which they are looked at.

    Args:
        protected: models; those of them that are append-only are protected.
        rules: what else is.
    """
    found: dict[tuple[type[models.Model], str], list[Rule]] = defaultdict(list)
    for rule in (*_append_only(protected), *rules):
        event = "update" if isinstance(rule, Frozen) else rule.event
        found[rule.model, event].append(rule)
    for model in {model: None for model, _ in found}:
        found[model, "insert"].insert(0, KeyTaken(model, "insert"))
        found[model, "update"].append(Frozen(model, (primary(model),), why="key"))
        found[model, "update"].append(KeyTaken(model, "update"))
    return {of: _sufficient(these) for of, these in found.items()}


def _append_only(protected: Iterable[type[models.Model]]) -> Iterator[Rule]:
    for model in protected:
        if issubclass(model, AppendOnly):
            yield Guard(model, "update")
            yield Guard(model, "delete")


def _sufficient(rules: list[Rule]) -> list[Rule]:
    """Nothing is looked at after a rule that refuses always."""
    for number, rule in enumerate(rules, start=1):
        if isinstance(rule, Guard) and not rule.condition:
            return rules[:number]
    return rules
