"""A limit on what is done at once, which is fair: first come, first served."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from diagnosis.errors import DecodersBusy


class Turns:
    """Lets threads in while their weights together do not exceed ``capacity``.

    A heavy one is not overtaken for ever by light ones that would still fit beside the others.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._taken = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, weight: int, wait_s: float) -> Iterator[None]:
        """Hold ``weight`` of the capacity; what weighs more than all of it counts as all.

        Raises:
            DecodersBusy: the turn did not come within ``wait_s`` seconds.
        """
        weight = min(weight, self._capacity)
        self._enter(weight, monotonic() + wait_s)
        try:
            yield
        finally:
            with self._changed:
                self._taken -= weight
                self._changed.notify_all()

    def _enter(self, weight: int, until: float) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or self._taken + weight > self._capacity:
                    left = until - monotonic()
                    if left <= 0:
                        raise DecodersBusy
                    self._changed.wait(left)
                self._taken += weight
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
