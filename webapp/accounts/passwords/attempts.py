"""Guessing a password takes ever longer, and keeps nobody else from their work.

Nothing is closed: after some wrong passwords those who gave them wait, each time about twice as
long. What is counted:

- at sign-in, the name together with the address, or with the browser if that name has signed in
  with it before (a cookie, see ``webapp.accounts.sign_in.clients``);
- from browsers that the name has not signed in with, also the name alone, for guesses from many
  addresses, and the address alone, for one password tried on many names. These two pauses stay
  short, and never meet whoever signs in where they always do;
- where a signed-in user says the password again, the session. A stranger's guesses at sign-in do
  not count there, and guesses there do not count at sign-in.

A try is counted before its password is looked at and taken back if that was right: so a thousand
at the same moment are no way round. Tries during a pause are not looked at, not counted and do not
prolong it. django-axes closes accounts and knows neither growing pauses nor browsers.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from webapp.accounts.models import WrongPasswords

FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Scale:
    """From how many wrong passwords on there are pauses, and how long they become.

    Attributes:
        patience: the wrong password of this number begins the first pause.
        first_s: the first pause; one more wrong password doubles it.
        longest_s: where that ends; in so many seconds one wrong password is forgiven.
    """

    patience: int
    first_s: float
    longest_s: float

    def level(self, before: float, elapsed_s: float) -> float:
        """The count after one more."""
        return max(0.0, before - max(0.0, elapsed_s) / self.longest_s) + 1

    def pause_s(self, level: float) -> float:
        """The pause after that many."""
        over = round(level) - self.patience
        return 0.0 if over < 0 else min(self.longest_s, self.first_s * 2.0 ** min(over, 60))


ONE_PLACE = Scale(patience=5, first_s=5, longest_s=900)
ONE_NAME = Scale(patience=30, first_s=5, longest_s=60)
ONE_ADDRESS = Scale(patience=20, first_s=5, longest_s=60)


class PausedError(Exception):
    """No password is looked at now.

    Attributes:
        seconds: until one is, at least 1.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many wrong passwords.")
        self.seconds = max(1, math.ceil(seconds))


@dataclass(frozen=True)
class Subject:
    """What wrong passwords are counted by: words that name it, and how."""

    words: tuple[str, ...]
    scale: Scale

    @property
    def key(self) -> str:
        """What the database knows it by."""
        return hashlib.sha256("\0".join(self.words).encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True)
class Attempt:
    """A password that is looked at, counted as a wrong one already.

    Attributes:
        subjects: by which it was counted.
        at: when.
        begins_pause: whether it is the first of ``subjects[0]`` that has a pause after it.
    """

    subjects: list[Subject]
    at: datetime
    begins_pause: bool

    def was_right(self) -> None:
        """Take it back, and forgive ``subjects[0]`` all before it.

        The others keep theirs: who has an account must not wash away guesses at others'.
        """
        WrongPasswords.objects.filter(subject=self.subjects[0].key).delete()
        for subject in self.subjects[1:]:
            with transaction.atomic():
                row = WrongPasswords.objects.select_for_update().get(subject=subject.key)
                row.level = max(0.0, row.level - 1)
                if row.counted_at == self.at:  # nobody's wrong password has come in between
                    row.paused_until = self.at
                row.save()


def attempt_begin(subjects: list[Subject]) -> Attempt:
    """Count one more wrong password, before it is looked at.

    Raises:
        PausedError: one of the subjects has to wait; nothing is counted.
    """
    now = timezone.now()
    keys = sorted(subject.key for subject in subjects)
    _refuse_paused(WrongPasswords.objects.filter(subject__in=keys), now)  # takes no lock
    WrongPasswords.objects.filter(counted_at__lt=now - FORGOTTEN_AFTER).delete()
    with transaction.atomic():
        start = {"level": 0.0, "counted_at": now, "paused_until": now}
        WrongPasswords.objects.bulk_create(
            [WrongPasswords(subject=key, **start) for key in keys], ignore_conflicts=True
        )
        rows = WrongPasswords.objects.select_for_update().filter(subject__in=keys)
        found = {row.subject: row for row in rows.order_by("subject")}
        _refuse_paused(found.values(), now)
        for subject in subjects:
            _count(found[subject.key], subject.scale, now)
    first = subjects[0]
    begins = round(found[first.key].level) == first.scale.patience
    return Attempt(subjects, now, begins)


def _count(row: WrongPasswords, scale: Scale, now: datetime) -> None:
    row.level = scale.level(row.level, (now - row.counted_at).total_seconds())
    row.counted_at = now
    row.paused_until = now + timedelta(seconds=scale.pause_s(row.level))
    row.save()


def _refuse_paused(rows: Iterable[WrongPasswords], now: datetime) -> None:
    waits = [(row.paused_until - now).total_seconds() for row in rows]
    if waits and max(waits) > 0:
        raise PausedError(max(waits))
