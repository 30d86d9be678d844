"""Finds nucleated cells by their colour, inside the network and beside it, by one rule.

The rule is a little stricter than that of the shortcut audit (`evaluation.shortcuts`): a pixel is
purple where (R + B)/2 − G > 22 and its hue lies between 234° and 359°. What remains of purple
regions after an erosion by 5×5 pixels, dilated by 9×9, is a cell with a rim of two pixels;
platelets and the purple rims of red cells are smaller than that. The audit opens by 3×3 and dilates
by 15×15, so it paints over every pixel that this rule shows.
"""

import cv2
import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

ERODED, DILATED = 5, 9  # canonical pixels; a blast is about 30 across
SPREAD = 0.5  # deviation of standardised cells, about that of a picture in [−1, 1]
FLAT = 0.02  # on the same scale: keeps noise in cells of one colour from being blown up


# A pixel is purple where each of these sums over red, green and blue is at least 1. The first is
# twice (R + B)/2 − G − 22; where it holds, the others say that the hue, which is
# 240° + 60° (R − G)/(B − min) with blue largest and 360° − 60° (B − G)/(R − G) with red, is at
# least 234° and less than 359°: each is always true where the other colour is largest.
RULES = np.array([[1, -2, 1], [9, -10, 1], [-1, -59, 60]])
OFFSETS = np.array([-44, 1, 0])


def visible_cells(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mask of nucleated cells, uint8 [H, W] of 0 and 1, in uint8 [H, W, 3]."""
    purple = (rgb.astype(np.int32) @ RULES.T + OFFSETS).min(axis=-1) >= 1
    eroded = cv2.erode(purple.astype(np.uint8), np.ones((ERODED, ERODED), np.uint8))
    return cv2.dilate(eroded, np.ones((DILATED, DILATED), np.uint8))  # type: ignore[return-value]


def hide_background(
    normalised: NDArray[np.float32], cells: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What ``HideBackground`` answers, for cells that are known.

    Args:
        normalised: float32 [..., H, W, 3] in [−1, 1].
        cells: 1 where a cell is, uint8 [..., H, W].

    Returns:
        float32 [..., H, W, 4].
    """
    seen = cells[..., np.newaxis].astype(np.float32)
    return np.concatenate([normalised * seen, seen], axis=-1)


class HideBackground(layers.Layer):
    """Shows nucleated cells and nothing else: float32 [N, H, W, 3] in [−1, 1] to [N, H, W, 4].

    The first three channels are the picture, 0 outside the cells; the fourth is 1 in cells and 0
    outside. Written without a single comparison, which LiteRT has no fast kernels for: all sums
    are of whole numbers, so clipping one to [0, 1] asks whether it is at least 1.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, trainable=False, dtype="float32")

    def call(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Hide what ``visible_cells`` does not show."""
        levels = ops.round((image + 1.0) * 127.5)
        sums = ops.matmul(levels, ops.convert_to_tensor(RULES.T, "float32"))
        sums += ops.convert_to_tensor(OFFSETS, "float32")
        purple = ops.clip(ops.min(sums, axis=3, keepdims=True), 0.0, 1.0)
        eroded = 1 - _largest_around(1 - purple, ERODED)
        cells = _largest_around(eroded, DILATED)
        return ops.concatenate([image * cells, cells], axis=3)

    def compute_output_shape(self, image_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One channel more."""
        return (*image_shape[:-1], 4)


class StandardiseCells(layers.Layer):
    """Gives the cells of each field mean 0 and one deviation in every channel.

    Instance normalisation (Ulyanov et al. 2016) over the cells alone: what lamp, white balance,
    exposure and staining time do to a whole field, by channel, is taken out, so the network tells
    classes by how cells differ inside and among one another. What is hidden stays 0.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, trainable=False, dtype="float32")

    def call(self, hidden: keras.KerasTensor) -> keras.KerasTensor:
        """Float32 [N, H, W, 4] from ``HideBackground`` to [N, H, W, 3]."""
        shown, cells = hidden[..., :3], hidden[..., 3:]
        pixels = ops.maximum(ops.sum(cells, axis=(1, 2), keepdims=True), 1.0)
        offset = (shown - ops.sum(shown, axis=(1, 2), keepdims=True) / pixels) * cells
        variance = ops.sum(ops.square(offset), axis=(1, 2), keepdims=True) / pixels
        return SPREAD * offset / (ops.sqrt(variance) + FLAT)

    def compute_output_shape(self, hidden_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Without the channel that says where cells are."""
        return (*hidden_shape[:-1], 3)


class CellAttention(layers.Layer):
    """How much each place of a feature map counts: the share of cell in it, summing to 1.

    All 0 where there is no cell at all.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, trainable=False, dtype="float32")

    def call(self, hidden: keras.KerasTensor, features: keras.KerasTensor) -> keras.KerasTensor:
        """Float32 [N, H, W, 4] from ``HideBackground`` and [N, h, w, C] to [N, h, w, 1]."""
        step = hidden.shape[1] // features.shape[1]
        share = ops.average_pool(hidden[..., 3:], step, step)
        return share / ops.maximum(ops.sum(share, axis=(1, 2), keepdims=True), 1e-6)

    def compute_output_shape(
        self, hidden_shape: tuple[int | None, ...], features_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """One number a place."""
        return (*features_shape[:-1], 1)


def _largest_around(mask: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """The maximum over squares, rows first: a fifth of the work of doing it at once."""
    rows = ops.max_pool(mask, (side, 1), 1, "same")
    return ops.max_pool(rows, (1, side), 1, "same")
