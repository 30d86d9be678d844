"""A signed-in user says the password again: to sign, or to choose another.

Counted by session, so that neither a stranger at sign-in nor somebody at a screen that was left
alone keeps the user from working elsewhere.
"""

from django.contrib.auth.models import User
from django.http import HttpRequest

from webapp.accounts.passwords.attempts import ONE_PLACE, Subject, attempt_begin
from webapp.audit.services import audit_record


def own_password_is(request: HttpRequest, user: User, password: str) -> bool:
    """Whether it is the password of ``user``, who is signed in to ``request``.

    Raises:
        PausedError: too many wrong ones were given in this session; nothing was looked at.
    """
    session = request.session.session_key or ""
    attempt = attempt_begin([Subject(("own password", str(user.pk), session), ONE_PLACE)])
    if user.check_password(password):
        attempt.was_right()
        return True
    if attempt.begins_pause:
        audit_record(actor=user, action="user.locked_out", target=user)
    return False
