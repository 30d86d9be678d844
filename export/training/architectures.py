"""The networks that can be trained, each a Keras model on the uniform input.

Every architecture takes float32 [N, 224, 224, 3] in [−1, 1] (x/127.5 − 1), whatever its backbone
was made for, and answers logits. The published graph needs more than the logits and finds it by
name: ``FEATURES`` is the last feature map, float32 [N, h, w, C] with h = w = 7 or 14; ``ATTENTION``
says how much each of its places counts, float32 [N, h, w, 1], and is missing where all count the
same; ``POOLED`` is the mean so weighted; ``LOGITS`` the one dense layer after it.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from export.config import CLASS_LABELS, INPUT_WIDTH
from export.errors import RunError
from export.training.cells import CellAttention, HideBackground, StandardiseCells

FEATURES = "features"
ATTENTION = "attention"
POOLED = "pooled"
LOGITS = "logits"
HIDDEN = "hidden"  # the picture of which nucleated cells alone are left, and where they are

# Width, number of residual blocks and stride of each stage, after the two strided convolutions.
Stages = tuple[tuple[int, int, int], ...]
CUSTOM_STAGES: Stages = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (192, 1, 2))
CELL_STAGES: Stages = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (192, 1, 1))
DROPOUT = 0.3

# Of the RGB channels on a scale of 0 to 1, as every ImageNet network was trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # grey levels; what ResNet50's weights expect

# Networks that see nucleated cells and nothing else.
OF_CELLS = frozenset({"cell_cnn", "cell_mobilenet_v2"})

Architecture = Callable[[keras.KerasTensor, Path | None], keras.KerasTensor]


def build(
    architecture: str, seed: int, weights: Path | None = None, side: int = INPUT_WIDTH
) -> keras.Model:
    """A new network.

    Args:
        architecture: a name in ``ARCHITECTURES``.
        seed: draws the first weights.
        weights: a local file of ImageNet weights without the top layers, as Keras publishes it
            for that backbone; ``None`` starts from random ones.
        side: of its input in pixels; the weights are the same whatever it is.

    Raises:
        RunError: no architecture has that name, or the weights are not for it.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise RunError(f"There is no architecture {architecture!r}; choose one of: {known}.")
    keras.utils.set_random_seed(seed)
    image = keras.Input((side, side, 3), name="image")
    pooled = ARCHITECTURES[architecture](image, weights)
    pooled = layers.Dropout(DROPOUT, seed=seed, name="dropout")(pooled)
    # The softmax, its temperature and every threshold want full precision.
    logits = layers.Dense(len(CLASS_LABELS), dtype="float32", name=LOGITS)(pooled)
    return keras.Model(image, logits, name=architecture)


def hides_background(model: keras.Model) -> bool:
    """Whether the network sees nothing but nucleated cells."""
    return any(layer.name == HIDDEN for layer in model.layers)


def learner(
    architecture: str, seed: int, window: int, precision: str, weights: Path | None = None
) -> keras.Model:
    """The network as training feeds it, with windows; its weights fit what ``build`` makes.

    For one that sees cells alone, the background of a window was hidden before its colours
    were varied: the rule that finds cells is made for colours as they are.

    Args:
        window: side of a window in pixels, a multiple of 16.
        precision: Keras's dtype policy, e.g. ``mixed_bfloat16``; variables are float32 anyway.

    Raises:
        RunError: as for ``build``.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = build(architecture, seed, weights, window)
        if not hides_background(model):
            return model
        return keras.Model(model.get_layer(HIDDEN).output, model.output, name=architecture)
    finally:
        keras.config.set_dtype_policy(before)


def custom_cnn(image: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """A compact residual network (He et al. 2016), about 1.3 million parameters.

    Plain 3×3 convolutions: on a CPU, TensorFlow runs depthwise ones several times slower per
    multiplication. Two strided convolutions come before the first block because most of the
    time would otherwise go to feature maps of 112 × 112 pixels.
    """
    _refuse(weights, "custom_cnn")
    return _mean(_residual_stages(image, CUSTOM_STAGES))


def cell_cnn(image: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """The compact network on nucleated cells alone: it cannot see the background.

    Everything outside the cells is hidden before the first convolution, their colours are
    standardised over the field, and the features are averaged over the cells only: neither
    tint nor red cells nor the empty glass can speak for a class, nor how many cells there are.
    Without any cell the features are all 0.
    The last stage keeps 14 × 14 places, about half a blast each.
    """
    _refuse(weights, "cell_cnn")
    hidden, cells = _standardised_cells(image)
    return _mean_of_cells(_residual_stages(cells, CELL_STAGES), hidden)


def cell_mobilenet_v2(image: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """MobileNetV2 on nucleated cells alone, which are hidden, standardised and averaged as above.

    Standardised cells have the mean and spread of the pictures it was made for. Its last 1 × 1
    convolution, to 1,280 channels for the thousand classes of ImageNet, is left out.
    """
    hidden, cells = _standardised_cells(image)
    backbone = keras.applications.MobileNetV2(
        input_tensor=cells, include_top=False, weights=None, input_shape=image.shape[1:]
    )
    _load(backbone, weights, "mobilenet_v2")
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9  # Keras's 0.999 would remember ImageNet to the end
    return _mean_of_cells(backbone.get_layer("block_16_project_BN").output, hidden)


def efficientnet_b3(image: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """EfficientNetB3 (Tan and Le 2019). It scales grey levels itself, so it is given them."""
    levels = layers.Rescaling(127.5, offset=127.5, name="grey_levels")(image)
    backbone = keras.applications.EfficientNetB3(False, None, levels)
    _load(backbone, weights, "efficientnet_b3")
    # Keras's file holds deviations where the layer wants variances; with `weights="imagenet"`
    # it mends that by another layer, which a file given by path does not get.
    (normalisation,) = (x for x in backbone.layers if isinstance(x, layers.Normalization))
    normalisation.set_weights([np.array(IMAGENET_MEAN), np.square(IMAGENET_DEVIATION), np.array(0)])
    normalisation.finalize_state()
    return _mean(backbone.output)


def resnet50(image: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """ResNet50 (He et al. 2016). Its weights expect BGR grey levels less their ImageNet means."""
    red, green, blue = (image[..., channel : channel + 1] for channel in range(3))
    reversed_channels = layers.Concatenate(name="bgr")([blue, green, red])
    offset = [127.5 - mean for mean in CAFFE_MEAN_BGR]
    levels = layers.Rescaling(127.5, offset=offset, name="caffe")(reversed_channels)
    backbone = keras.applications.ResNet50(False, None, levels)
    _load(backbone, weights, "resnet50")
    return _mean(backbone.output)


def mobilenet_v2(image: keras.KerasTensor, weights: Path | None) -> keras.KerasTensor:
    """MobileNetV2 (Sandler et al. 2018). The uniform input is its own."""
    same = layers.Activation("linear", name="uniform")(image)
    backbone = keras.applications.MobileNetV2(
        input_tensor=same, include_top=False, weights=None, input_shape=image.shape[1:]
    )
    _load(backbone, weights, "mobilenet_v2")
    return _mean(backbone.output)


ARCHITECTURES: dict[str, Architecture] = {
    "cell_cnn": cell_cnn,
    "cell_mobilenet_v2": cell_mobilenet_v2,
    "custom_cnn": custom_cnn,
    "efficientnet_b3": efficientnet_b3,
    "mobilenet_v2": mobilenet_v2,
    "resnet50": resnet50,
}


def _mean(features: keras.KerasTensor) -> keras.KerasTensor:
    return layers.GlobalAveragePooling2D(name=POOLED)(_named(features, FEATURES))


def _standardised_cells(image: keras.KerasTensor) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The picture with its background hidden, and its cells in standardised colours."""
    hidden = HideBackground(name=HIDDEN)(image)
    return hidden, StandardiseCells(name="standardised")(hidden)


def _mean_of_cells(features: keras.KerasTensor, hidden: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over the places of a feature map, each counted by the share of cell in it."""
    features = _named(features, FEATURES)
    attention = CellAttention(name=ATTENTION)(hidden, features)
    weighted = layers.Multiply()([features, attention])
    return layers.Lambda(_sum_of_places, name=POOLED)(weighted)


def _named(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.Activation("linear", dtype="float32", name=name)(x)


def _sum_of_places(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.sum(x, axis=(1, 2))


def _residual_stages(image: keras.KerasTensor, stages: Stages) -> keras.KerasTensor:
    """Two strided convolutions and the residual blocks of ``stages``."""
    x = _convolve(image, 16, strides=2)
    x = _convolve(x, stages[0][0], strides=2)
    for width, blocks, strides in stages:
        for block in range(blocks):
            x = _residual(x, width, strides if block == 0 else 1)
    return x


def _convolve(
    x: keras.KerasTensor, width: int, strides: int = 1, activation: str | None = "relu"
) -> keras.KerasTensor:
    """Convolution 3×3, batch normalisation and, unless ``None``, the activation."""
    x = layers.Conv2D(width, 3, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation else x


def _residual(x: keras.KerasTensor, width: int, strides: int) -> keras.KerasTensor:
    """Basic block; its shortcut is averaged and projected where the shape changes."""
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides)(shortcut)
    if shortcut.shape[-1] != width:
        shortcut = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="he_normal")(shortcut)
        shortcut = layers.BatchNormalization(momentum=0.9)(shortcut)
    x = _convolve(x, width, strides)
    x = _convolve(x, width, activation=None)
    return layers.Activation("relu")(layers.Add()([x, shortcut]))


def _refuse(weights: Path | None, architecture: str) -> None:
    if weights is not None:
        raise RunError(f"{architecture} has no ImageNet weights; leave --weights out.")


def _load(backbone: keras.Model, weights: Path | None, architecture: str) -> None:
    """Put the weights of a local file into ``backbone``."""
    if weights is None:
        return
    try:
        backbone.load_weights(weights)
    except (OSError, ValueError) as error:
        raise RunError(
            f"{weights} holds no weights for {architecture} ({str(error).splitlines()[0]}); give "
            "the Keras file of that backbone without top layers."
        ) from error
