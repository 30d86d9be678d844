"""How tests wait: until something holds, and for minutes, because other work may have the machine.

No test says how long anything takes; the bound only ends a test whose condition never comes.
"""

import time
from collections.abc import Callable
from typing import TypeVar

WITHIN_S = 240.0
WITHIN_MS = 1000 * WITHIN_S

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found], what: str = "") -> Found:
    """What ``condition`` gives, as soon as it is something.

    Raises:
        TimeoutError: it never was; says ``what``.
    """
    deadline = time.monotonic() + WITHIN_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what or f"{condition} never held")
        time.sleep(0.02)
    return found
