"""The form for one's own password."""

from typing import Any

from django.contrib.auth.forms import PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from webapp.accounts.passwords.attempts import PausedError
from webapp.accounts.passwords.own_password import own_password_is
from webapp.accounts.wording import pause_sentence


class OwnPasswordForm(PasswordChangeForm):  # type: ignore[type-arg]
    """As Django's; wrong passwords have pauses after them, and the old one is no new one.

    Attributes:
        paused: set when no password was looked at.
    """

    paused: PausedError | None = None

    def __init__(self, user: Any, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        """The password, if it is the user's."""
        given: str = self.cleaned_data["old_password"]
        try:
            if own_password_is(self.request, self.user, given):
                return given
        except PausedError as error:
            self.paused = error
            raise ValidationError(pause_sentence(error.seconds), code="paused") from error
        raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")

    def clean_new_password1(self) -> str:
        """Somebody else may know the old one."""
        new: str = self.cleaned_data["new_password1"]
        if new and new == self.cleaned_data.get("old_password"):
            raise ValidationError(_("This is the password that you have."), code="password_same")
        return new
