"""An architecture of 844 parameters that is traced in a second, and the command line with it.

``python -m tests.export.tiny …`` is ``python -m export …`` that can also train ``tiny``: what the
commands do with a run does not depend on its architecture, and TensorFlow takes many seconds for
each training of one that is meant to be used.
"""

import sys
from pathlib import Path

from keras import layers

from export.__main__ import main
from export.training import architectures
from export.training.recipes import RECIPES
from export.training.runs import TrainConfig

TINY = "tiny"


def tiny(image: object, weights: Path | None) -> object:
    x = layers.AveragePooling2D(8)(image)
    x = layers.Conv2D(24, 3, 4, "same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.5)(x)
    x = layers.Activation("relu", name=architectures.FEATURES)(x)
    return layers.GlobalAveragePooling2D(name=architectures.POOLED)(x)


if __name__ == "__main__":
    architectures.ARCHITECTURES[TINY] = tiny
    RECIPES[TINY] = TrainConfig(architecture=TINY)
    sys.exit(main())
