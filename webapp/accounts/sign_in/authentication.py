"""How the API knows who asks."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied

from webapp.accounts.models import ApiToken
from webapp.accounts.passwords.changes import CHANGE_CODE, CHANGE_SENTENCE, must_change
from webapp.accounts.tokens import digest_of


class ApiTokenAuthentication(TokenAuthentication):
    """``Authorization: Token KEY``, as REST framework's own, with keys that are kept as digests."""

    def authenticate_credentials(self, key: str) -> tuple[User, Any]:
        """The user and the token of a key.

        Raises:
            AuthenticationFailed: nobody has it, or the account is closed.
            PermissionDenied: the user has to choose another password first.
        """
        token = (
            ApiToken.objects.select_related("user__password_state")
            .filter(digest=digest_of(key))
            .first()
        )
        if token is None:
            raise AuthenticationFailed("Invalid token.")
        if not token.user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        if must_change(token.user):
            raise PermissionDenied(CHANGE_SENTENCE, CHANGE_CODE)
        return token.user, token
