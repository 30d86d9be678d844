"""Each backbone is given what it was made for, from the one uniform input."""

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.imaging.synthetic import draw_smear
from export.errors import RunError
from export.training import architectures
from export.training.cells import FLAT, SPREAD, visible_cells
from export.training.recipes import RECIPES, recipe
from export.training.train import normalise

BACKBONES = ("efficientnet_b3", "resnet50", "mobilenet_v2")


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([draw_smear(seed, 224, 224) for seed in range(2)])


def what_enters(architecture: str, layer: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    model = architectures.build(architecture, 0)
    return np.asarray(keras.Model(model.inputs, model.get_layer(layer).output)(normalise(images)))


def test_resnet_is_given_caffe_channels(images: NDArray[np.uint8]) -> None:
    expected = keras.applications.resnet50.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(what_enters("resnet50", "caffe", images), expected, atol=1e-3)


def test_mobilenet_is_given_the_uniform_input(images: NDArray[np.uint8]) -> None:
    expected = keras.applications.mobilenet_v2.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(what_enters("mobilenet_v2", "uniform", images), expected, atol=1e-5)


def test_efficientnet_is_given_grey_levels_and_normalises_them_as_imagenet(
    images: NDArray[np.uint8],
) -> None:
    levels = what_enters("efficientnet_b3", "grey_levels", images)
    np.testing.assert_allclose(levels, images, atol=1e-3)
    normalised = what_enters("efficientnet_b3", "stem_conv_pad", images)[:, :224, :224]
    expected = (images / 255 - architectures.IMAGENET_MEAN) / architectures.IMAGENET_DEVIATION
    assert np.abs(normalised - expected).max() < 1e-3


@pytest.mark.parametrize("architecture", sorted(architectures.ARCHITECTURES))
def test_every_architecture_has_what_the_published_graph_finds_by_name(architecture: str) -> None:
    model = architectures.build(architecture, 0)
    height, width, channels = model.get_layer(architectures.FEATURES).output.shape[1:]
    assert (height, width) in ((7, 7), (14, 14))
    assert model.get_layer(architectures.POOLED).output.shape == (None, channels)
    assert model.get_layer(architectures.LOGITS).output.shape == (None, 4)
    assert recipe(architecture).architecture == architecture
    assert (architecture in architectures.OF_CELLS) == architectures.hides_background(model)


def test_every_architecture_has_a_recipe_and_no_other() -> None:
    assert set(RECIPES) == {"cell_cnn", "cell_mobilenet_v2", "custom_cnn", *BACKBONES}
    with pytest.raises(RunError, match="choose one of: cell_cnn, cell_mobilenet_v2, custom_cnn"):
        recipe("alexnet")


def test_local_weights_are_loaded_and_the_normalisation_stays_right(
    tmp_path: Path, images: NDArray[np.uint8]
) -> None:
    """A file as Keras publishes it: deviations where the layer wants variances."""
    published = keras.applications.EfficientNetB3(include_top=False, weights=None)
    (wrong,) = (x for x in published.layers if isinstance(x, keras.layers.Normalization))
    mean, deviation = architectures.IMAGENET_MEAN, architectures.IMAGENET_DEVIATION
    wrong.set_weights([np.array(mean), np.array(deviation), np.array(0)])
    stem = published.get_layer("stem_conv").get_weights()
    published.save_weights(tmp_path / "b3.weights.h5")
    model = architectures.build("efficientnet_b3", 3, tmp_path / "b3.weights.h5")
    np.testing.assert_array_equal(model.get_layer("stem_conv").get_weights()[0], stem[0])
    (norm,) = (x for x in model.layers if isinstance(x, keras.layers.Normalization))
    np.testing.assert_allclose(np.ravel(norm.variance), np.square(deviation), rtol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    keras.applications.MobileNetV2(include_top=False, weights=None).save_weights(
        tmp_path / "other.weights.h5"
    )
    with pytest.raises(RunError, match="holds no weights for resnet50"):
        architectures.build("resnet50", 0, tmp_path / "other.weights.h5")
    with pytest.raises(RunError, match="holds no weights for mobilenet_v2"):
        architectures.build("mobilenet_v2", 0, tmp_path / "missing.weights.h5")
    with pytest.raises(RunError, match="cell_cnn has no ImageNet weights"):
        architectures.build("cell_cnn", 0, tmp_path / "other.weights.h5")


def test_normalisations_of_the_cell_network_soon_forget_imagenet() -> None:
    model = architectures.build("cell_mobilenet_v2", 0)
    momenta = {x.momentum for x in model.layers if hasattr(x, "momentum")}
    assert momenta == {0.9}


@pytest.mark.parametrize("architecture", ["cell_cnn", "cell_mobilenet_v2"])
def test_networks_of_cells_are_given_standardised_cells(
    architecture: str, images: NDArray[np.uint8]
) -> None:
    cells = visible_cells(images[0]).astype(bool)
    assert 0.01 < cells.mean() < 0.9
    entered = what_enters(architecture, "standardised", images)[0]
    assert not entered[~cells].any()
    shown = normalise(images)[0][cells]
    spread = SPREAD * shown.std(axis=0) / (shown.std(axis=0) + FLAT)
    np.testing.assert_allclose(entered[cells].mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(entered[cells].std(axis=0), spread, atol=1e-3)


def test_the_same_seed_draws_the_same_weights() -> None:
    first, second, other = (architectures.build("cell_cnn", seed) for seed in (5, 5, 6))
    kernels = [m.get_layer(architectures.LOGITS).get_weights()[0] for m in (first, second, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0.01
