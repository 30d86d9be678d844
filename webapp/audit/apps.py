"""The audit app: the bottom layer, imported by every other."""

from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class AuditConfig(AppConfig):
    """Append-only record of writes and reads."""

    name = "webapp.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        """Protect the table of every migrated database, and hear who signs in."""
        from webapp.audit import access  # noqa: F401 - its receivers

        pre_migrate.connect(_history_step_aside, sender=self)
        post_migrate.connect(_history_protect, sender=self)


def _history_step_aside(using: str, plan: list[Any], **kwargs: Any) -> None:
    """SQLite builds a table anew to change it, and would stumble over triggers of others that
    look at it. All are made again after the migration."""
    from webapp.audit.triggers import triggers_drop

    if plan and connections[using].vendor == "sqlite":
        triggers_drop(using)


def _history_protect(sender: AppConfig, using: str, **kwargs: Any) -> None:
    from webapp.audit.triggers import triggers_make

    triggers_make(sender, using)
