"""Filters that every template has without asking: how a value is shown beside other text."""

from datetime import datetime

from django import template
from django.contrib.auth.models import AbstractBaseUser, AbstractUser
from django.utils.formats import date_format

from webapp.text import clock as clocks
from webapp.text.typed import Isolated, is_blank, isolated, with_tags

register = template.Library()


@register.filter
def bdi(value: object) -> str:
    """Any value in text, isolated by ``<bdi>``; names and numbers of records are so anyway."""
    return Isolated("" if value is None else value)


@register.filter
def isolate(value: object) -> str:
    """Any value in an attribute or title, isolated by characters."""
    return isolated("" if value is None else value)


@register.filter
def tagged(sentence: object) -> str:
    """A sentence from Python, with ``<bdi>`` for the isolates in it."""
    return with_tags(sentence)


@register.filter
def person(user: AbstractBaseUser) -> str:
    """Somebody's full name where there is one, else the user name; isolated."""
    name = user.get_full_name() if isinstance(user, AbstractUser) else ""
    return Isolated(user.get_username() if is_blank(name) else name)


@register.filter
def clock(at: datetime) -> str:
    """A time on the laboratory's clock, with its offset in the hour that comes twice."""
    local = clocks.on_clock(at)
    shown = date_format(local, "DATETIME_FORMAT", use_l10n=True)
    unusual = clocks.comes_twice(local) or local.year < clocks.EARLIEST_DAY.year
    return f"{shown} {clocks.offset(local)}" if unusual else shown


@register.filter
def iso(at: datetime) -> str:
    """A time for machines."""
    return clocks.on_clock(at).isoformat(timespec="seconds")
