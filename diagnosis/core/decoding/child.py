"""``python -m diagnosis.core.decoding.child``: takes jobs from standard input, one after the other.

Ends with its input, so it outlives its parent by one picture at most.
"""

import os
import pickle
import resource
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2

from diagnosis.core.decoding.budget import Budget
from diagnosis.core.decoding.jobs import JOBS
from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.formats.dicom import is_dicom
from diagnosis.core.formats.refusals import too_costly


def main() -> None:
    """Answer each request with a pair of error and result, of which one is ``None``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not do so into the answers
    while True:
        try:
            job, arguments, allowed = pickle.load(requests)  # noqa: S301 - the parent's
        except EOFError:
            return
        pickle.dump(_answer(job, arguments, allowed), answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _answer(job: str, arguments: tuple[Any, ...], allowed: Budget) -> tuple[Any, Any]:
    if is_dicom(arguments[0]):
        import pydicom  # noqa: F401 - a quarter of a second that is not the picture's
    try:
        with _within(allowed):
            return None, JOBS[job](*arguments)
    except ImageRefusedError as error:
        # The decoders take any failure of a library for damage.
        return too_costly() if isinstance(error.__cause__, MemoryError) else error, None
    except MemoryError:
        return too_costly(), None
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            return too_costly(), None
        return _fault(error), None
    except Exception as error:
        return _fault(error), None


def _fault(error: Exception) -> RuntimeError:
    """A fault of ours; its own class may not exist for the parent, its text may quote the file."""
    return RuntimeError(f"decoding failed with {type(error).__name__}")


@contextmanager
def _within(allowed: Budget) -> Iterator[None]:
    """Beyond the time, SIGPROF ends this process, whatever library is at work; beyond the
    memory, the library is told that there is none."""
    taken = _address_space()
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    if taken:
        resource.setrlimit(resource.RLIMIT_AS, (taken + allowed.memory, unlimited[1]))
    signal.setitimer(signal.ITIMER_PROF, allowed.cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, unlimited)


def _address_space() -> int:
    """Bytes this process has reserved; 0 on a system that does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
