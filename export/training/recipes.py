"""How each architecture is trained when nothing else is asked for."""

from export.errors import RunError
from export.training.runs import TrainConfig


def _large(architecture: str, epochs: int, precision: str = "float32") -> TrainConfig:
    return TrainConfig(
        architecture=architecture,
        epochs=epochs,
        learning_rate=1e-3,
        weight_decay=0.02,
        window=112,
        precision=precision,
    )


RECIPES: dict[str, TrainConfig] = {
    # Sees cells alone; windows of them teach as much as whole fields in half the time.
    "cell_cnn": TrainConfig(
        architecture="cell_cnn", epochs=40, window=160, precision="mixed_bfloat16"
    ),
    # Begun from ImageNet weights (`train --weights`), so a lower peak and fewer epochs.
    "cell_mobilenet_v2": TrainConfig(
        architecture="cell_mobilenet_v2", epochs=12, learning_rate=5e-4, window=160
    ),
    "custom_cnn": TrainConfig(architecture="custom_cnn", epochs=45, window=128),
    # Large networks: a lower peak, less decay, and windows for the sake of two cores.
    "efficientnet_b3": _large("efficientnet_b3", epochs=12),
    "mobilenet_v2": _large("mobilenet_v2", epochs=8),  # meant to begin from ImageNet weights
    "resnet50": _large("resnet50", epochs=15, precision="mixed_bfloat16"),
}


def recipe(architecture: str) -> TrainConfig:
    """The usual configuration of an architecture.

    Raises:
        RunError: there is none of that name.
    """
    try:
        return RECIPES[architecture]
    except KeyError:
        known = ", ".join(sorted(RECIPES))
        raise RunError(
            f"There is no architecture {architecture!r}; choose one of: {known}."
        ) from None
