"""Pictures drawn for the browser tests: no pixel of a data set."""

from pathlib import Path

import cv2
import numpy as np

from diagnosis.core.imaging.synthetic import draw_smear


def smear(path: Path, seed: int) -> Path:
    """A synthetic smear field as JPEG."""
    return _write(path, cv2.cvtColor(draw_smear(seed), cv2.COLOR_RGB2BGR))


def receipt(path: Path) -> Path:
    """Black print on white paper, as a scanner gives it."""
    paper = np.full((900, 700, 3), 252, np.uint8)
    for line in range(22):
        text = f"{line + 1:02d}  ITEM {line * 37 % 11}   {line * 3.17:6.2f}"
        where = (60, 60 + 38 * line)
        cv2.putText(paper, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    return _write(path, paper)


def _write(path: Path, bgr: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> Path:
    if not cv2.imwrite(str(path), bgr):
        raise OSError(f"{path} cannot be written")
    return path
