"""What is kept of an account beside Django's own user."""

from django.conf import settings
from django.db import models


class ApiToken(models.Model):
    """A key to the API, of which the digest alone is kept: whoever reads the database has no key.

    A user may have any number. All end when the password changes or the account is closed.

    Attributes:
        name: what it is for.
        digest: sha256 of the key, in hexadecimal.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=100, blank=True, default="")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"API token {self.pk} of {self.user_id}"  # type: ignore[attr-defined]


class PasswordState(models.Model):
    """What follows from who set the password. Without a row nothing does.

    Attributes:
        must_change: somebody else knows the password; nothing can be done until it is changed.
        set_by: who set it, where that was not the user, or gave the account its role.
        at_most: permissions as ``<app>.<codename>`` that the account does not go beyond until a
            superuser confirms it, because ``set_by`` has no others; ``None`` is no limit.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="password_state",
    )
    must_change = models.BooleanField(default=False)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    set_at = models.DateTimeField(auto_now=True)
    at_most = models.JSONField(null=True, default=None)

    def __str__(self) -> str:
        return f"Password of {self.user_id}"  # type: ignore[attr-defined]


class WrongPasswords(models.Model):
    """How many wrong passwords were given lately by, or for, one subject.

    Attributes:
        subject: sha256 of what is counted (``accounts.passwords.attempts``): people also type
            passwords where their name belongs, so no name is kept.
        level: the count, of which some is forgiven as time passes.
        counted_at: when ``level`` was right.
        paused_until: no password is looked at before.
    """

    subject = models.CharField(max_length=64, unique=True)
    level = models.FloatField()
    counted_at = models.DateTimeField(db_index=True)
    paused_until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.level:.1f} wrong passwords"
