"""Rows that are written once: no update, no deletion, whichever way it is tried.

In Python here; in the database by triggers (``webapp.audit.triggers``), so that raw SQL and other
programs are refused as well.
"""

from typing import Any, NoReturn

from django.db import models


class AppendOnlyError(Exception):
    """Something tried to change or delete a row that is history."""


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """Reads and inserts only."""

    def update(self, **kwargs: Any) -> NoReturn:
        """Refused."""
        raise AppendOnlyError(f"{self.model._meta.verbose_name_plural} are never changed.")

    def delete(self) -> NoReturn:
        """Refused."""
        raise AppendOnlyError(f"{self.model._meta.verbose_name_plural} are never deleted.")

    def bulk_create(self, *args: Any, **kwargs: Any) -> Any:
        """Inserts only: an existing row is never written over."""
        if kwargs.get("update_conflicts"):
            raise AppendOnlyError(f"{self.model._meta.verbose_name_plural} are never changed.")
        return super().bulk_create(*args, **kwargs)

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        raise AppendOnlyError(f"{self.model._meta.verbose_name_plural} are never changed.")


class AppendOnly(models.Model):
    """A row that is inserted and then stays."""

    objects: models.Manager[Any] = models.Manager.from_queryset(AppendOnlyQuerySet)()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; a second save is refused."""
        if not self._state.adding:
            raise AppendOnlyError(f"{self._meta.verbose_name} {self.pk} is never changed.")
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused."""
        raise AppendOnlyError(f"{self._meta.verbose_name} {self.pk} is never deleted.")
