"""The networks that can be trained, each a Keras model on the uniform input.

Every architecture takes float32 [N, 224, 224, 3] in [−1, 1] (x/127.5 − 1), whatever its backbone
was made for, and answers logits. Two layers are found by name, because the published graph
needs more than the logits: ``FEATURES`` is the last feature map, float32 [N, 7, 7, C] ≥ 0;
``LOGITS`` the one dense layer after its global average.
"""

from collections.abc import Callable

import keras
from keras import layers

from export.config import CLASS_LABELS, INPUT_HEIGHT, INPUT_WIDTH
from export.errors import RunError

FEATURES = "features"
LOGITS = "logits"

# Width and number of residual blocks at 56, 28, 14 and 7 pixels.
CUSTOM_STAGES = ((32, 1), (64, 2), (128, 2), (192, 1))
DROPOUT = 0.3


def build(architecture: str, seed: int) -> keras.Model:
    """A new network with weights drawn from ``seed``.

    Raises:
        RunError: no architecture has that name.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise RunError(f"There is no architecture {architecture!r}; choose one of: {known}.")
    keras.utils.set_random_seed(seed)
    image = keras.Input((INPUT_HEIGHT, INPUT_WIDTH, 3), name="image")
    features = ARCHITECTURES[architecture](image)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(features)
    pooled = layers.Dropout(DROPOUT, seed=seed, name="dropout")(pooled)
    logits = layers.Dense(len(CLASS_LABELS), name=LOGITS)(pooled)
    return keras.Model(image, logits, name=architecture)


def custom_cnn(image: keras.KerasTensor) -> keras.KerasTensor:
    """A compact residual network (He et al. 2016), about 1.3 million parameters.

    Plain 3×3 convolutions: on a CPU, TensorFlow runs depthwise ones several times slower per
    multiplication. Two strided convolutions come before the first block because most of the
    time would otherwise go to feature maps of 112 × 112 pixels.
    """
    x = _convolve(image, 16, strides=2)
    x = _convolve(x, CUSTOM_STAGES[0][0], strides=2)
    for stage, (width, blocks) in enumerate(CUSTOM_STAGES):
        for block in range(blocks):
            x = _residual(x, width, strides=2 if stage and not block else 1)
    return layers.Activation("linear", name=FEATURES)(x)


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


ARCHITECTURES: dict[str, Callable[[keras.KerasTensor], keras.KerasTensor]] = {
    "custom_cnn": custom_cnn,
}
