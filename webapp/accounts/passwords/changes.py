"""What a changed password brings with it, whichever way it was changed.

A password is a signature, so whoever else knows it is somebody who could sign: one that an
administrator sets is good for nothing but choosing another.
"""

from typing import Any

from django.contrib.auth.hashers import get_hasher, identify_hasher
from django.contrib.auth.models import User
from django.db import transaction

from webapp.accounts.models import PasswordState
from webapp.accounts.rights import account_limit, permissions_given
from webapp.accounts.sign_in.acting import acting_user
from webapp.accounts.tokens import tokens_end
from webapp.audit.services import audit_record

CHANGE_CODE = "password_change_required"
CHANGE_SENTENCE = (
    "Your password was set by somebody else; sign in to the portal and choose your own first."
)


def must_change(user: User) -> bool:
    """Whether the user has to choose a password before anything else."""
    state = getattr(user, "password_state", None)
    return state is not None and state.must_change


def before_save(
    instance: User, update_fields: Any = None, raw: bool = False, **kwargs: Any
) -> None:
    """Receives ``pre_save``: remember what the database has."""
    stored = None
    if not raw and instance.pk and (update_fields is None or "password" in update_fields):
        stored = User.objects.filter(pk=instance.pk).values_list("password", flat=True).first()
    instance._stored_password = stored  # type: ignore[attr-defined]


def after_save(
    instance: User, created: bool, update_fields: Any = None, raw: bool = False, **kwargs: Any
) -> None:
    """Receives ``post_save``: tokens end with a password and with an account."""
    stored: str | None = getattr(instance, "_stored_password", None)
    if raw:
        return
    with transaction.atomic():
        if created:
            if actor := acting_user():
                _set_by_another(instance, actor)
        elif stored not in (None, instance.password):
            if not _is_rehash(instance, stored, update_fields):
                _changed(instance, acting_user())
        elif not instance.is_active:
            tokens_end(instance, actor=acting_user(), why="the account was closed")


def _changed(user: User, actor: User | None) -> None:
    tokens_end(user, actor=actor, why="the password changed")
    audit_record(actor=actor, action="user.password_changed", target=user)
    if actor is None:  # whoever has a shell on the server is bound by nothing here
        PasswordState.objects.filter(user=user).delete()
    elif actor.pk == user.pk:
        PasswordState.objects.filter(user=user).update(must_change=False)
    else:
        _set_by_another(user, actor)


def _set_by_another(user: User, actor: User) -> None:
    PasswordState.objects.update_or_create(
        user=user, defaults={"must_change": True, "set_by": actor, "at_most": None}
    )
    account_limit(user, by=actor, given=permissions_given(user))


def _is_rehash(user: User, stored: str | None, update_fields: Any) -> bool:
    """Whether Django only keeps the same password in a newer form, as it does at sign-in."""
    if set(update_fields or ()) != {"password"} or user._password is not None:  # type: ignore[attr-defined]
        return False
    try:
        other = identify_hasher(stored or "").algorithm != get_hasher().algorithm
    except ValueError:
        return False
    return other or get_hasher().must_update(stored or "")
