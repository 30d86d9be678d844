"""``manage.py demo_user``: the haematologist with whom a fresh installation is tried."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from diagnosis.roles import HAEMATOLOGIST

USERNAME = "demo"


class Command(BaseCommand):
    """Creates the user once. To be rid of it, deactivate it rather than delete it."""

    help = "Create the demonstration haematologist `demo`, unless it is there already."

    def handle(self, **options: Any) -> None:
        """Print a random password, this once; DEMO_PASSWORD is taken instead and not printed."""
        given = settings.DEMO_PASSWORD
        existing = User.objects.filter(username=USERNAME).first()
        if existing is None:
            self._create(given)
        elif given and not existing.check_password(given):
            self.stdout.write(
                f"DEMO_PASSWORD differs from the password that {USERNAME} has and is ignored; "
                f"`.venv/bin/python manage.py changepassword {USERNAME}` sets another."
            )

    def _create(self, given: str) -> None:
        password = given or secrets.token_urlsafe(12)
        user = User(username=USERNAME, first_name="Demonstration", last_name="haematologist")
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(f"DEMO_PASSWORD is too weak: {' '.join(error.messages)}") from error
        shown = "the password in DEMO_PASSWORD" if given else f"password {password}"
        user.set_password(password)
        with transaction.atomic():  # no user whose password was never seen
            user.save()
            user.groups.add(Group.objects.get(name=HAEMATOLOGIST))
            self.stdout.write(f"Created the user {USERNAME} with {shown}; it is not shown again.")
