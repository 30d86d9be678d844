"""Which versions a model server has loaded: TensorFlow Serving's way, as seen of a real one.

It loads what ``models.config`` names. A version that cannot be loaded is tried again a few times
with pauses, and until that is over no other is loaded or unloaded. At the start its port stays
closed until all are loaded; if one cannot be, the process ends.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

AVAILABLE, START, END = "AVAILABLE", "START", "END"


@dataclass(frozen=True)
class Retries:
    """``--max_num_load_retries`` and, in seconds, ``--load_retry_interval_micros``."""

    most: int = 5
    interval: float = 60.0


@dataclass
class _Failing:
    """A version that could not be loaded and is tried again."""

    version: int
    left: int
    again_at: float


class Versions:
    """The versions of one model.

    Attributes:
        states: of each version that was named when it was last looked.
    """

    def __init__(
        self,
        config: Path,
        folder: Path,
        retries: Retries,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of the model in ``folder`` as ``config`` names them; loads nothing yet."""
        self.states: dict[int, str] = {}
        self._config, self._folder, self._retries, self._clock = config, folder, retries, clock
        self._failing: _Failing | None = None
        self._lock = threading.Lock()

    def look(self) -> dict[int, str]:
        """Load and unload what can be by now; the state of each version."""
        with self._lock:
            while self._step():
                pass
            return dict(self.states)

    def start(self, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Load what is named; whether all could be. If not, a server ends with its port closed."""
        while START in self.look().values():
            sleep(self._retries.interval)
        return END not in self.states.values()

    def _step(self) -> bool:
        """One change, if there is one to be made now."""
        if self._failing is not None:
            return self._clock() >= self._failing.again_at and self._try(self._failing)
        named = {int(number) for number in re.findall(r"versions: (\d+)", self._config.read_text())}
        for version in sorted(named - self.states.keys()):
            return self._try(_Failing(version, self._retries.most + 1, self._clock()))
        for version in self.states.keys() - named:
            del self.states[version]
            return True
        return False

    def _try(self, attempt: _Failing) -> bool:
        self._failing = None
        self.states[attempt.version] = AVAILABLE
        if not _loads(self._folder / str(attempt.version)):
            attempt.left -= 1
            attempt.again_at += self._retries.interval
            self.states[attempt.version] = START if attempt.left else END
            self._failing = attempt if attempt.left else None
        return True


def _loads(folder: Path) -> bool:
    """Whether graph and weights are there and can be read."""
    try:
        for name in ("saved_model.pb", "variables/variables.index"):
            (folder / name).read_bytes()
    except OSError:
        return False
    return True
