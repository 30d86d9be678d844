"""How somebody signs in, and what they may do then."""

import unicodedata
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest

from webapp.accounts.passwords.attempts import (
    ONE_ADDRESS,
    ONE_NAME,
    ONE_PLACE,
    Subject,
    attempt_begin,
)
from webapp.accounts.rights import limited_to
from webapp.accounts.sign_in.clients import address_of, known_browser
from webapp.audit.services import audit_record


class AccountBackend(ModelBackend):
    """Django's own, with pauses between guesses and limited accounts."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """The user of that name with that password.

        Raises:
            PausedError: no password is looked at now.
        """
        username = kwargs.get(User.USERNAME_FIELD) if username is None else username
        if request is None or username is None or password is None:
            return super().authenticate(request, username, password)
        account = User.objects.filter(username=username).first()
        attempt = attempt_begin(_sign_in_subjects(request, username, account))
        user: User | None = super().authenticate(request, username, password)
        if user is not None:
            attempt.was_right()
        elif account is not None and attempt.begins_pause:
            audit_record(actor=None, action="user.locked_out", target=account)
        return user

    def get_user(self, user_id: int) -> User | None:
        """With what every request asks of an account."""
        user = User.objects.select_related("password_state").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Not beyond the account's limit."""
        permissions = super().get_all_permissions(user_obj, obj)
        limit = limited_to(user_obj)
        return permissions if limit is None else permissions & limit


def _sign_in_subjects(request: HttpRequest, username: str, account: User | None) -> list[Subject]:
    """By what a try to sign in is counted; a name that nobody has is treated alike.

    Databases differ in what they take for the same name, so an account's number stands for it.
    """
    name = _folded(username) if account is None else f"#{account.pk}"
    browser = known_browser(request, account.pk if account else None)
    if browser is not None:
        return [Subject(("sign-in", name, "browser", browser), ONE_PLACE)]
    address = address_of(request)
    return [
        Subject(("sign-in", name, "address", address), ONE_PLACE),
        Subject(("name", name), ONE_NAME),
        Subject(("address", address), ONE_ADDRESS),
    ]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
