"""The accounts app."""

from django.apps import AppConfig
from django.db.models.signals import post_save, pre_save


class AccountsConfig(AppConfig):
    """Who may come in: passwords, tokens, rights, and guesses."""

    name = "webapp.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        """Watch passwords: no way of changing one may be forgotten."""
        from django.contrib.auth.models import User

        from webapp.accounts.passwords import changes as passwords

        pre_save.connect(passwords.before_save, sender=User)
        post_save.connect(passwords.after_save, sender=User)
