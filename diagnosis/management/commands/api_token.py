"""``manage.py api_token USER``: the user's API token."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rest_framework.authtoken.models import Token


class Command(BaseCommand):
    """Prints the token alone as its last line; makes one if the user has none."""

    help = "Print a user's API token; --renew replaces it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The user's name, and ``--renew``."""
        parser.add_argument("user")
        parser.add_argument("--renew", action="store_true", help="make the old token useless")

    def handle(self, *args: Any, user: str, renew: bool, **options: Any) -> None:
        """Look the user up and print."""
        account = get_user_model().objects.filter(username=user).first()
        if account is None:
            raise CommandError(f"There is no user {user!r}; create one in /admin/ first.")
        if renew:
            Token.objects.filter(user=account).delete()
        token, _ = Token.objects.get_or_create(user=account)
        self.stdout.write(token.key)
