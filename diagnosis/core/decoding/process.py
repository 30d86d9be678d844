"""The process that decodes: started with the first need, and again after its death.

It bounds what a file costs; it is no boundary of trust, for it runs as the same user.
"""

import contextlib
import logging
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diagnosis.core.decoding.budget import Budget, budget
from diagnosis.core.errors import DecodersBusyError
from diagnosis.core.formats.refusals import too_costly

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[3]
COMMAND = (sys.executable, "-m", "diagnosis.core.decoding.child")
TRIES = 2  # whatever killed the first process, it was the file that killed the second
# All of its environment: the keys to database and sessions are not a decoder's business.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class DecodingProcess:
    """One picture at a time; its callers take turns."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, job: str, arguments: tuple[Any, ...], pixels: int) -> Any:
        """The result of a job of ``diagnosis.core.decoding.jobs``.

        Args:
            pixels: what the picture declares; gives the budget.

        Raises:
            ImageRefusedError: what the job raised; ``too_costly`` if it went beyond its budget, or
                killed the process in another way twice.
            DecodersBusyError: the machine gave it no time.
        """
        allowed = budget(pixels)
        for _ in range(TRIES):
            answer = self._ask(job, arguments, allowed)
            if answer is not None:
                error, result = answer
                if error is not None:
                    raise error
                return result
        raise too_costly()

    def close(self) -> None:
        """End the process, if there is one."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _ask(self, job: str, arguments: tuple[Any, ...], allowed: Budget) -> Any:
        """Error and result, of which one is ``None``; ``None`` if the process died meanwhile."""
        child = self._started()
        with _deadline(child, allowed.wall_s) as late:
            try:
                pickle.dump((job, arguments, allowed), child.stdin, pickle.HIGHEST_PROTOCOL)  # type: ignore[arg-type]
                child.stdin.flush()  # type: ignore[union-attr]
                return pickle.load(child.stdout)  # type: ignore[arg-type]  # noqa: S301 - our own
            except (OSError, EOFError, pickle.UnpicklingError):
                status = child.wait()
            except BaseException:  # the rest of the answer would be taken for the next one's
                self.close()
                raise
        self.close()
        if late.is_set():
            raise DecodersBusyError
        if status == -signal.SIGPROF:
            logger.warning("A picture was given up after %.1f s of decoding.", allowed.cpu_s)
            raise too_costly()
        logger.warning("The process that decodes pictures died with status %s.", status)
        return None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(  # noqa: S603 - constant words
                COMMAND,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libraries quote what they stumble over
                env=_ENVIRONMENT,
            )
        return self._child


@contextlib.contextmanager
def _deadline(child: "subprocess.Popen[bytes]", wall_s: float) -> Iterator[threading.Event]:
    """Kill the process at a deadline; gives an event that says whether that was done."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(wall_s, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
