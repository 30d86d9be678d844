"""``manage.py api_token USER``: a key to the API."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from webapp.accounts.tokens import token_make, tokens_end


class Command(BaseCommand):
    """Makes one more token and prints it alone as its last line; it cannot be shown again."""

    help = "Make and print an API token for a user; --renew ends the user's other tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        """The user's name, and ``--renew``."""
        parser.add_argument("user")
        parser.add_argument("--renew", action="store_true", help="make the old ones useless")

    def handle(self, *args: Any, user: str, renew: bool, **options: Any) -> None:
        """Look the user up, make and print."""
        account = User.objects.filter(username=user).first()
        if account is None:
            raise CommandError(f"There is no user {user!r}; create one in /admin/ first.")
        with transaction.atomic():
            if renew:
                tokens_end(account, actor=None, why="renewed")
            key = token_make(account, actor=None, name="manage.py api_token")
        self.stdout.write(key)
