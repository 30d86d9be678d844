"""The diagnosis app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class DiagnosisConfig(AppConfig):
    """Images, their diagnoses, and who may see them."""

    name = "diagnosis"

    def ready(self) -> None:
        """Register checks, the counter of tasks, what covers the identity in signed cases, roles
        and triggers of every migrated database."""
        from django_tasks.signals import task_finished

        from diagnosis import roles
        from diagnosis.cases.corrections import SignedCover
        from diagnosis.fields.instrumentation import task_count
        from diagnosis.operations import checks, trigger_check  # noqa: F401 - register themselves
        from patients.covering import cover_set

        cover_set(SignedCover())
        task_finished.connect(task_count)
        post_migrate.connect(roles.roles_ensure, sender=self)
        post_migrate.connect(_history_protect, sender=self)


def _history_protect(using: str, **kwargs: Any) -> None:
    from diagnosis.models.triggers import history_protect

    history_protect(using=using)
