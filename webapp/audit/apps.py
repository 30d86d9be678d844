"""The audit app: the bottom layer, imported by every other."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Append-only record of writes and reads."""

    name = "webapp.audit"
    label = "audit"
    verbose_name = "Audit"
