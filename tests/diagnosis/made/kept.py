"""Records that are made once in a process, and copied for every test that begins with them.

Each test has a database and media files of its own, as if it had made the records itself.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection, models, transaction

from diagnosis.core.state import CaseStatus
from diagnosis.models import Case, Report

# Migrations make them anew after a test that empties all tables, with other keys.
_OF_MIGRATIONS = {
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    "auth_user_groups",  # by name
}
_REPORT = Report._meta.db_table


@dataclass
class _Copy:
    rows: dict[str, list[tuple[Any, ...]]]
    cases: list[dict[str, Any]]
    groups: dict[int, list[str]]  # names by id of the user
    media: Path


class Kept:
    """Copies of records by name; ``folder`` holds their media files."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._copies = folder, dict[str, _Copy]()

    def bring(self, name: str, make: Callable[[], object]) -> None:
        """Have the records of ``name`` in the empty tables and in MEDIA_ROOT.

        Args:
            make: makes them where there is no copy yet. What it reads besides the database has to
                be the same each time.
        """
        if name in self._copies:
            _put(self._copies[name])
        else:
            make()
            self._copies[name] = _copied(self._folder / name)


def _copied(media: Path) -> _Copy:
    shutil.copytree(settings.MEDIA_ROOT, media)
    rows = {}
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor)) - _OF_MIGRATIONS
        # Nothing may be added to a signed case, so what signs it comes last.
        for table in sorted(tables - {Case._meta.db_table}, key=lambda name: name == _REPORT):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            if found := cursor.fetchall():
                rows[table] = [tuple(row) for row in found]
    members = User.objects.prefetch_related("groups")
    groups = {user.pk: [group.name for group in user.groups.all()] for user in members}
    return _Copy(rows, list(Case.objects.values()), groups, media)


def _put(copy: _Copy) -> None:
    shutil.copytree(copy.media, settings.MEDIA_ROOT)
    with transaction.atomic(), connection.cursor() as cursor:
        for case in copy.cases:
            begun = Case(**{**case, "status": CaseStatus.NEW, "closed": False})
            begun.save_base(raw=True, force_insert=True)
        for table, rows in copy.rows.items():
            places = ", ".join(["%s"] * len(rows[0]))
            name = connection.ops.quote_name(table)
            cursor.executemany(f"INSERT INTO {name} VALUES ({places})", rows)
        for user, names in copy.groups.items():
            User.objects.get(pk=user).groups.set(Group.objects.filter(name__in=names))
        for case in copy.cases:
            now = {"status": case["status"], "closed": case["closed"]}
            models.QuerySet(Case).filter(pk=case["id"]).update(**now)
