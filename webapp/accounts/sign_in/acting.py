"""Who is at work in the request that this thread answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth.models import User
from django.http import HttpRequest

_request: ContextVar[HttpRequest | None] = ContextVar("acting_request", default=None)


@contextmanager
def acting_in(request: HttpRequest) -> Iterator[None]:
    """Within it, ``acting_user`` is whoever is signed in to ``request``."""
    before = _request.set(request)
    try:
        yield
    finally:
        _request.reset(before)


def acting_user() -> User | None:
    """The signed-in user; ``None`` on the command line, in a worker, and before signing in."""
    user = getattr(_request.get(), "user", None)
    if user is None or not user.is_authenticated:
        return None
    return User.objects.get(pk=user.pk)
