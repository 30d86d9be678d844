"""Finds nucleated cells by their colour, inside the network and beside it, by one rule.

The rule is a little stricter than that of the shortcut audit (`export.audit`): a pixel is purple
where (R + B)/2 − G > 22 and its hue lies between 234° and 359°. What remains of purple regions
after an erosion by 5×5 pixels, dilated by 9×9, is a cell with a rim of two pixels; platelets and
the purple rims of red cells are smaller than that. The audit opens by 3×3 and dilates by 15×15, so
it paints over every pixel that this rule shows.
"""

import cv2
import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

PURPLE = 22  # grey levels
ERODED, DILATED = 5, 9  # canonical pixels; a blast is about 30 across
SPREAD = 0.5  # deviation of standardised cells, about that of a picture in [−1, 1]
FLAT = 0.02  # on the same scale: keeps noise in cells of one colour from being blown up


def visible_cells(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mask of nucleated cells, uint8 [H, W] of 0 and 1, in uint8 [H, W, 3]."""
    red, green, blue = (rgb[..., channel].astype(np.int32) for channel in range(3))
    violet = 60 * (red - green) + 6 * (blue - np.minimum(red, green)) >= 0
    hue = np.where(blue > red, violet, 60 * (blue - green) > red - green)
    purple = hue & (red + blue - 2 * green > 2 * PURPLE)
    eroded = cv2.erode(purple.astype(np.uint8), np.ones((ERODED, ERODED), np.uint8))
    return cv2.dilate(eroded, np.ones((DILATED, DILATED), np.uint8))  # type: ignore[return-value]


def hide_background(
    normalised: NDArray[np.float32], cells: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What ``HideBackground`` answers, for cells that are known: 0 everywhere else.

    Args:
        normalised: float32 [..., H, W, 3] in [−1, 1].
        cells: 1 where a cell is, uint8 [..., H, W].
    """
    return normalised * cells[..., np.newaxis].astype(np.float32)


class HideBackground(layers.Layer):
    """Shows nucleated cells and nothing else: float32 [N, H, W, 3] in [−1, 1] to the same.

    Hidden pixels are exactly 0 in all channels, which no grey level is (they are odd multiples
    of 1/255), so what comes after can tell them from any colour.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, trainable=False, dtype="float32")

    def call(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Hide what ``visible_cells`` does not show."""
        levels = ops.round((image + 1.0) * 127.5)
        red, green, blue = (levels[..., channel : channel + 1] for channel in range(3))
        purple = red + blue - 2 * green > 2 * PURPLE
        # Hue is 240° + 60° (R − G)/(B − min) where blue is largest, 360° − 60° (B − G)/(R − G)
        # where red is; where purple, green never is.
        violet = 60 * (red - green) + 6 * (blue - ops.minimum(red, green)) >= 0
        hue = ops.where(blue > red, violet, 60 * (blue - green) > red - green)
        mask = ops.cast(ops.logical_and(purple, hue), "float32")
        eroded = 1 - _largest_around(1 - mask, ERODED)
        return image * _largest_around(eroded, DILATED)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same as the input's."""
        return input_shape


class StandardiseCells(layers.Layer):
    """Gives the cells of each field mean 0 and one deviation in every channel.

    Instance normalisation (Ulyanov et al. 2016) over the cells alone: what lamp, white balance,
    exposure and staining time do to a whole field, by channel, is taken out, so the network tells
    classes by how cells differ inside and among one another. What is hidden stays exactly 0.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, trainable=False, dtype="float32")

    def call(self, hidden: keras.KerasTensor) -> keras.KerasTensor:
        """Float32 [N, H, W, 3] from ``HideBackground`` to the same shape."""
        visible = _visible(hidden)
        pixels = ops.maximum(ops.sum(visible, axis=(1, 2), keepdims=True), 1.0)
        offset = (hidden - ops.sum(hidden, axis=(1, 2), keepdims=True) / pixels) * visible
        variance = ops.sum(ops.square(offset), axis=(1, 2), keepdims=True) / pixels
        return SPREAD * offset / (ops.sqrt(variance) + FLAT)

    def compute_output_shape(self, hidden_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The same as the input's."""
        return hidden_shape


class CellAttention(layers.Layer):
    """How much each place of a feature map counts: the share of cell in it, summing to 1.

    All 0 where there is no cell at all.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, trainable=False, dtype="float32")

    def call(self, hidden: keras.KerasTensor, features: keras.KerasTensor) -> keras.KerasTensor:
        """Float32 [N, H, W, 3] from ``HideBackground`` and [N, h, w, C] to [N, h, w, 1]."""
        step = hidden.shape[1] // features.shape[1]
        share = ops.average_pool(_visible(hidden), step, step)
        return share / ops.maximum(ops.sum(share, axis=(1, 2), keepdims=True), 1e-6)

    def compute_output_shape(
        self, hidden_shape: tuple[int | None, ...], features_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        """One number a place."""
        return (*features_shape[:-1], 1)


def _visible(hidden: keras.KerasTensor) -> keras.KerasTensor:
    """1 where ``HideBackground`` shows a pixel, float32 [N, H, W, 1]."""
    return ops.cast(ops.any(hidden != 0, axis=3, keepdims=True), "float32")


def _largest_around(mask: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """The maximum over squares, rows first: a fifth of the work of doing it at once."""
    rows = ops.max_pool(mask, (side, 1), 1, "same")
    return ops.max_pool(rows, (1, side), 1, "same")
