"""Keeps what stands for a person out of the logs: who read which record is the audit trail's
to say, and fewer people may read that.

Nothing is looked for and struck out, because nobody can list what may name a person. Instead
only what is known to be harmless stays: words of our own addresses, and texts of exceptions
that are written without anybody's data.
"""

import logging
import re
import traceback
from collections.abc import Iterable, Iterator
from functools import cache

from django.core.exceptions import DisallowedHost, ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

HIDDEN = "…"

# Hosts, settings, command lines: what an operator needs, and has given.
_TELLING = (DisallowedHost, ImproperlyConfigured, CommandError)
_ADDRESS = re.compile(r"(https?://[^\s/?#]+)[/?#].*", re.DOTALL)


def without_identifiers(path: str) -> str:
    """The path of an address, as far as it consists of words of our routes.

    Accession numbers, record ids, whatever a client made up and the query string go.
    """
    path, question_mark, _ = path.partition("?")
    words = _route_words_if_known()
    kept = (part if not part or part in words else HIDDEN for part in path.split("/"))
    return "/".join(kept) + (question_mark and question_mark + HIDDEN)


def telling_text(error: BaseException) -> str:
    """An exception's class, with its text if that is known to name nobody.

    An exception of ours says so itself, by ``names_nobody = True``. MySQL quotes the value it
    refuses, so of its errors only the number stays; SQLite never does.
    """
    text = HIDDEN
    if isinstance(error, _TELLING) or getattr(error, "names_nobody", False):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror  # the path beside it may be a file name from outside
    elif isinstance(error, DatabaseError) and error.args:
        text = str(error.args[0])
    return f"{type(error).__qualname__}: {text}"


def telling_traceback(error: BaseException) -> str:
    """Where an exception and its causes came from, oldest first; texts as ``telling_text``."""
    return "\n\nThen came:\n\n".join(
        "Traceback (most recent call last):\n"
        + "".join(traceback.format_tb(each.__traceback__))
        + telling_text(each)
        for each in reversed(list(_chain(error)))
    )


class RedactionFilter(logging.Filter):
    """Redacts exceptions wherever they are logged, and addresses that frameworks name.

    It changes the record itself, so that no later handler sees more.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        if isinstance(record.msg, BaseException):
            record.msg = telling_text(record.msg)
        if isinstance(record.args, tuple):
            named = record.name.startswith(("django.", "gunicorn."))
            record.args = tuple(_harmless(arg, named) for arg in record.args)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self._redact(record, error)
        return True

    def _redact(self, record: logging.LogRecord, error: BaseException) -> None:
        """Frameworks also log an exception's text as the message."""
        message = record.getMessage()
        for each in _chain(error):
            if text := str(each):
                message = message.replace(text, telling_text(each))
        record.msg, record.args = message, ()
        record.exc_text, record.exc_info = telling_traceback(error), None


def _harmless(arg: object, names_addresses: bool) -> object:
    if isinstance(arg, BaseException):
        return telling_text(arg)
    if not (names_addresses and isinstance(arg, str)):
        return arg
    if arg.startswith("/"):
        return without_identifiers(arg)
    return _ADDRESS.sub(rf"\1/{HIDDEN}", arg)  # of a referring page, say, the host is enough


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came of, as Python prints it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def _route_words_if_known() -> frozenset[str]:
    """Before the addresses can be loaded, as in gunicorn's own process, no word is known."""
    try:
        return _route_words()
    except Exception:  # a log line never fails for the sake of its looks
        return frozenset()


@cache
def _route_words() -> frozenset[str]:
    return frozenset(_words(get_resolver().url_patterns))


def _words(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[str]:
    """The fixed parts of every route."""
    for pattern in patterns:
        if isinstance(pattern.pattern, RoutePattern):
            yield from (part for part in str(pattern.pattern).split("/") if "<" not in part)
        if isinstance(pattern, URLResolver):
            yield from _words(pattern.url_patterns)
