"""A limit on what is done at once, which is fair: first come, first served."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from diagnosis.core.errors import DecodersBusyError


class Turns:
    """Lets threads in while their weights together do not exceed ``capacity``.

    A heavy one is not overtaken for ever by light ones that would still fit beside the others.

    Args:
        queue: the weight that may be inside and waiting together; who comes to more than that is
            turned away at once, and a thread that would wait long is free for something else.
        places: how many may be inside and waiting together.
        alone: whether one is inside at a time, whatever it weighs.
    """

    def __init__(self, capacity: int, queue: int, *, places: int, alone: bool = False) -> None:
        self._capacity, self._queue = capacity, queue
        self._places, self._alone = places, alone
        self._inside: list[int] = []  # weights
        self._waiting: deque[_Ticket] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, weight: int, wait_s: float) -> Iterator[None]:
        """Hold ``weight`` of the capacity; what weighs more than all of it counts as all.

        Raises:
            DecodersBusyError: too much waits already, or the turn did not come within ``wait_s``
                seconds.
        """
        weight = min(weight, self._capacity)
        self._enter(_Ticket(weight), monotonic() + wait_s)
        try:
            yield
        finally:
            with self._changed:
                self._inside.remove(weight)
                self._changed.notify_all()

    def _enter(self, ticket: "_Ticket", until: float) -> None:
        with self._changed:
            before = [*self._inside, *(other.weight for other in self._waiting)]
            if len(before) >= self._places or (
                before and sum(before) + ticket.weight > self._queue
            ):
                raise DecodersBusyError
            self._waiting.append(ticket)
            try:
                while not self._is_next(ticket):
                    left = until - monotonic()
                    if left <= 0:
                        raise DecodersBusyError
                    self._changed.wait(left)
                self._inside.append(ticket.weight)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

    def _is_next(self, ticket: "_Ticket") -> bool:
        if self._waiting[0] is not ticket or (self._alone and self._inside):
            return False
        return sum(self._inside) + ticket.weight <= self._capacity


class _Ticket:
    """A place in the queue."""

    def __init__(self, weight: int) -> None:
        self.weight = weight
