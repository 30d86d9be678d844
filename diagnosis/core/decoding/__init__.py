"""Decoding with bounds on what it costs this process; the results are those of the pure functions.

A JPEG that decodes line by line stays in this process, among others as long as all of them
together have no more pixels than one picture may have. Everything else is decoded by a process
of its own, one picture at a time, within a budget of processor time and memory: no large picture
lies decoded in this process, and a decoder that hangs or crashes costs one file.

Pure, as the pipeline below: knows no Django. ``export`` calls the pipeline directly.
"""

import os
from typing import Any, cast

from diagnosis.core.decoding.jobs import JOBS, Canonical
from diagnosis.core.decoding.process import DecodingProcess
from diagnosis.core.decoding.turns import Turns
from diagnosis.core.formats.bounds import Structure, inspect
from diagnosis.core.formats.decode import StoredImage, is_plain_jpeg
from diagnosis.core.formats.refusals import MAX_PIXELS
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.pipeline import Prepared

WAIT_S = 10.0  # for a turn; whoever asks can ask again, and holds a thread meanwhile
# Pixels that are decoded and wait: some seconds of work.
QUEUE_HERE = 8 * MAX_PIXELS
QUEUE_APART = 2 * MAX_PIXELS
# A web process has four threads; what is decoded apart leaves one of them to the pages.
PLACES_HERE = 64
PLACES_APART = 3


class _Decoders:
    """What one process decodes with."""

    def __init__(self) -> None:
        self.here = Turns(MAX_PIXELS, QUEUE_HERE, places=PLACES_HERE)
        self.apart = Turns(MAX_PIXELS, QUEUE_APART, places=PLACES_APART, alone=True)
        self.process = DecodingProcess()

    def run(self, job: str, data: bytes, *arguments: Any, wait_s: float | None = None) -> Any:
        wait_s = WAIT_S if wait_s is None else wait_s
        structure = inspect(data)
        if _decodes_here(data, structure):
            with self.here.turn(structure.pixels, wait_s):
                return JOBS[job](data, *arguments)
        with self.apart.turn(max(structure.pixels, 1), wait_s):
            return self.process.run(job, (data, *arguments), structure.pixels)


def to_stored(data: bytes) -> StoredImage:
    """``decode.to_stored``.

    Raises:
        ImageRefusedError: as there; ``too_costly`` beyond the budget of time or memory.
        DecodersBusyError: others were decoded all the while.
    """
    return cast(StoredImage, _decoders.run("to_stored", data))


def prepare(data: bytes, contract: ModelContract) -> Prepared:
    """``pipeline.prepare``.

    Raises:
        ImageRefusedError, DecodersBusyError: as for ``to_stored``.
    """
    return cast(Prepared, _decoders.run("prepare", data, contract))


def canonical(data: bytes, contract: ModelContract) -> Canonical:
    """What the model sees of a stored field, without the checks of ``prepare``.

    Raises:
        ImageRefusedError, DecodersBusyError: as for ``to_stored``.
    """
    return cast(Canonical, _decoders.run("canonical", data, contract))


def thumbnail(data: bytes, *, wait_s: float | None = None) -> bytes:
    """``thumbnail.thumbnail``.

    Args:
        wait_s: seconds to wait for a turn, if not ``WAIT_S``.

    Raises:
        ImageRefusedError, DecodersBusyError: as for ``to_stored``.
    """
    return cast(bytes, _decoders.run("thumbnail", data, wait_s=wait_s))


def _decodes_here(data: bytes, structure: Structure) -> bool:
    return structure.one_pass and is_plain_jpeg(data)


def _renew() -> None:
    """A forked process has its parent's pipes and locks, and may use neither."""
    global _decoders
    _decoders = _Decoders()


_decoders = _Decoders()
os.register_at_fork(after_in_child=_renew)
