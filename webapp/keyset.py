"""Pages by key, not by offset: neither their cost nor their rows move as rows come in."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Q, QuerySet

Row = TypeVar("Row")


def id_in(text: str) -> int | None:
    """The id that an address names as the end of the page before; ``None`` for what is none."""
    return int(text) if text.isdecimal() and len(text) < 19 else None


def behind(key: Mapping[str, Any]) -> Q:
    """Rows after the one with the values of ``key``, in the order of its columns."""
    behind, same = Q(), Q()
    for name, value in key.items():
        behind |= same & Q(**{f"{name}__gt": value})
        same &= Q(**{name: value})
    return behind


def first_of(rows: QuerySet[Any, Row], size: int) -> tuple[list[Row], bool]:
    """The first ``size`` of ``rows``, and whether more follow."""
    found = list(rows[: size + 1])
    return found[:size], len(found) > size
