"""``manage.py createsuperuser``, as Django's, on record and with no weak password."""

import os
from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction

from webapp.audit.services import audit_record


class Command(createsuperuser.Command):
    """Django validates only what is typed, and lets whoever types insist."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the account, or say what is wrong with its password."""
        given = os.environ.get("DJANGO_SUPERUSER_PASSWORD")
        name = options[User.USERNAME_FIELD] or os.environ.get("DJANGO_SUPERUSER_USERNAME")
        if given is not None and not options["interactive"]:
            _validate(given, User(username=name or ""), "DJANGO_SUPERUSER_PASSWORD")
        before = set(User.objects.values_list("pk", flat=True))
        with transaction.atomic():
            super().handle(*args, **options)
            for user in User.objects.exclude(pk__in=before):
                audit_record(
                    actor=None,
                    action="user.created",
                    target=user,
                    detail={"is_superuser": user.is_superuser},
                )


def _validate(password: str, user: User, name: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError(f"{name} is too weak: {' '.join(error.messages)}") from error
