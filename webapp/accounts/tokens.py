"""Keys to the API: made, looked up by their digest, ended."""

import hashlib
import secrets

from django.contrib.auth.models import User
from django.db import transaction

from webapp.accounts.models import ApiToken
from webapp.audit.services import audit_record


def digest_of(key: str) -> str:
    """sha256 of a key, in hexadecimal: a key has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def token_make(user: User, *, actor: User | None, name: str = "") -> str:
    """Make one more token.

    Args:
        actor: who makes it; ``None`` is the command line.
        name: what it is for, 100 characters at most.

    Returns:
        The key, which cannot be had again.
    """
    key = secrets.token_hex(32)
    with transaction.atomic():
        token = ApiToken.objects.create(user=user, name=name, digest=digest_of(key))
        audit_record(actor=actor, action="user.token_made", target=user, detail={"token": token.pk})
    return key


def tokens_end(user: User, *, actor: User | None, why: str) -> int:
    """Make all tokens of a user useless; gives how many there were.

    Args:
        why: for the audit trail.
    """
    with transaction.atomic():
        ended = list(ApiToken.objects.filter(user=user).values_list("pk", flat=True))
        if ended:
            ApiToken.objects.filter(pk__in=ended).delete()
            audit_record(
                actor=actor,
                action="user.token_removed",
                target=user,
                detail={"tokens": ended, "why": why},
            )
    return len(ended)
