"""What a person wants to see again of the work list."""

from django.conf import settings
from django.db import models

from patients.fields import LineField


class SavedView(models.Model):
    """A person's own view of the work list, shown beside the built-in ones.

    Attributes:
        query: the filters and the search, as in the work list's address.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = LineField(max_length=60)
    query = models.CharField(max_length=3000)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        default_permissions = ()  # everybody's own; whoever may see cases may have views
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="saved_view_name")]

    def __str__(self) -> str:
        return f"Saved view {self.pk}"
