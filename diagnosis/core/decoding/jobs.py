"""What is done with the bytes of a picture, in this process or in the one beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnosis.core import pipeline
from diagnosis.core.formats.decode import decode, to_stored
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.thumbnail import thumbnail


@dataclass(frozen=True, eq=False)
class Canonical:
    """A field as the model would see it.

    Attributes:
        pixels: uint8 [height, width, 3] of the contract.
        width, height: of the file in pixels, upright.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int


def canonical(data: bytes, contract: ModelContract) -> Canonical:
    """Decode and preprocess.

    Raises:
        ImageRefusedError: the bytes cannot be decoded.
    """
    decoded = decode(data)
    return Canonical(preprocess(decoded.rgb, contract), decoded.width, decoded.height)


JOBS: Mapping[str, Callable[..., Any]] = {
    "to_stored": to_stored,
    "prepare": pipeline.prepare,
    "canonical": canonical,
    "thumbnail": thumbnail,
}
