"""Sentences of the accounts app that more than one page says."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def duration(seconds: int) -> str:
    """A pause as people say it: seconds up to a minute and a half, then whole minutes."""
    if seconds <= 90:
        return ngettext("%(number)d second", "%(number)d seconds", seconds) % {"number": seconds}
    minutes = -(-seconds // 60)
    return ngettext("%(number)d minute", "%(number)d minutes", minutes) % {"number": minutes}


def pause_sentence(seconds: int) -> str:
    """Beside a password that was not looked at."""
    return _(
        "Too many wrong passwords were given here. Wait %(time)s, then enter yours again; what you "
        "have written stays."
    ) % {"time": duration(seconds)}
