"""A circuit breaker: stop asking what keeps failing, and try it again after a while.

The pattern of Nygard, *Release It!* (2007). Our own, because the known libraries hold a lock
while the guarded call runs, and so would send one request at a time to a model server.

A call that had to queue is neither a success nor a failure: it says nothing about whether the
server is there.
"""

import threading
import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "half-open", "open"]


class Circuit:
    """Guards one address. Safe to share by threads; no lock is held during a call.

    Closed, everybody may call. After ``failures_allowed`` failures in a row it opens, and nobody
    may for ``rest_s`` seconds. Then it is half-open: one caller at a time may try, whose success
    closes it and whose failure opens it again.
    """

    def __init__(
        self,
        failures_allowed: int = 5,
        rest_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures_allowed = failures_allowed
        self._rest_s = rest_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._answers = 0
        self._closed_to: float | None = None  # when a caller may try; None while closed

    @property
    def state(self) -> State:
        """What a caller would meet now."""
        with self._lock:
            if self._closed_to is None:
                return "closed"
            return "open" if self._clock() < self._closed_to else "half-open"

    @property
    def answers(self) -> int:
        """How many calls were answered so far: more than before is a server at work."""
        with self._lock:
            return self._answers

    def admit(self) -> bool:
        """Whether the caller may try now; it then says ``succeeded``, ``failed``, or nothing where
        the call told neither."""
        with self._lock:
            if self._closed_to is None:
                return True
            if self._clock() < self._closed_to:
                return False
            # One tries. Should it never report back, another may after the same rest.
            self._closed_to = self._clock() + self._rest_s
            return True

    def succeeded(self) -> None:
        """A call was answered."""
        with self._lock:
            self._answers += 1
            self._failures = 0
            self._closed_to = None

    def failed(self) -> None:
        """A call was not answered."""
        with self._lock:
            self._failures += 1
            if self._failures >= self._failures_allowed:
                self._closed_to = self._clock() + self._rest_s
