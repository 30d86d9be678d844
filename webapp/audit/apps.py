"""The audit app: the bottom layer, imported by every other."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    """Append-only record of writes and reads."""

    name = "webapp.audit"
    label = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        """Protect the table of every migrated database."""
        post_migrate.connect(_history_protect, sender=self)


def _history_protect(sender: AppConfig, using: str, **kwargs: Any) -> None:
    from webapp.audit.triggers import triggers_make

    triggers_make(sender, using)
