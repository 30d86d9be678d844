"""The diagnosis app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DiagnosisConfig(AppConfig):
    """Images, their diagnoses, and who may see them."""

    name = "diagnosis"

    def ready(self) -> None:
        """Register system checks, and the roles that every migrated database has."""
        from diagnosis import checks, roles  # noqa: F401

        post_migrate.connect(roles.roles_ensure, sender=self)
