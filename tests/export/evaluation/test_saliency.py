from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray

from diagnosis.core.imaging.preprocess import cover
from diagnosis.core.imaging.synthetic import draw_smear
from export.config import COVERED
from export.evaluation.saliency import (
    BOUND,
    MIN_PLACES,
    cell_shares,
    randomised_networks,
    saliency_figures,
    sanity,
)
from export.training import architectures
from export.training.calibrate import Calibration, Decision
from export.training.cells import CellAttention, HideBackground
from export.training.train import normalise, settle_statistics

FIELDS, NETWORKS = 12, 3
CALIBRATION = Calibration(
    np.eye(24, dtype=np.float32), np.zeros((4, 24), np.float32), Decision(1.0, 1.0, 0.5, 0.1, 1)
)
Maps = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def cells(rng: np.random.Generator) -> Maps:
    """About twenty places of each field hold a different share of cell."""
    return rng.uniform(0.1, 1, (FIELDS, 7, 7)) * (rng.random((FIELDS, 7, 7)) < 0.4)


@pytest.fixture
def drawn(rng: np.random.Generator, cells: Maps) -> Callable[[], Maps]:
    """Makes maps of cells alone that owe all else to the weights."""
    return lambda: cells * rng.uniform(0.4, 1, cells.shape)


def stacked(make: Callable[[], Maps]) -> Maps:
    return np.stack([make() for _ in range(NETWORKS)])


def test_maps_that_the_weights_decide_on_pass(drawn: Callable[[], Maps], cells: Maps) -> None:
    """Even where all maps follow the cells, so that over all places they are much alike."""
    figures = sanity(drawn(), stacked(drawn), stacked(drawn), cells)
    assert figures["passed"] is True
    assert figures["plain_all"] > 0.8
    assert figures["plain_last_layer"] > 0.8
    assert figures["rank_correlation_all"] < 0.35
    assert (figures["n"], figures["networks"], figures["bound"]) == (FIELDS, NETWORKS, BOUND)
    assert figures["mass_on_cells"] > 2 * figures["area_of_cells"]
    assert figures["area_of_cells"] == pytest.approx(cells.mean())


@pytest.mark.parametrize("which", ["all", "last_layer"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_map_that_random_weights_make_as_well_fails(
    which: str, turned: bool, drawn: Callable[[], Maps], cells: Maps
) -> None:
    """Turned upside down it is no better: the picture decides on it as much."""
    trained = drawn()
    same = np.stack([cells.max() + 1 - trained if turned else trained] * NETWORKS)
    others = {"all": stacked(drawn), "last_layer": stacked(drawn)} | {which: same}
    figures = sanity(trained, others["all"], others["last_layer"], cells)
    assert figures[f"rank_correlation_{which}"] > 0.9
    assert figures["passed"] is False


def test_a_map_that_is_nothing_but_the_cells_fails(drawn: Callable[[], Maps], cells: Maps) -> None:
    figures = sanity(cells**2, stacked(drawn), stacked(drawn), cells)
    assert figures["rank_correlation_all"] == 1
    assert figures["passed"] is False


def test_a_map_that_lies_beside_the_cells_fails(rng: np.random.Generator, cells: Maps) -> None:
    def anywhere() -> Maps:
        return rng.random(cells.shape)

    figures = sanity(anywhere(), stacked(anywhere), stacked(anywhere), cells)
    assert figures["rank_correlation_all"] < BOUND
    assert figures["mass_on_cells"] == pytest.approx(figures["area_of_cells"], rel=0.2)
    assert figures["passed"] is False


def test_what_maps_share_beside_the_cells_is_not_compared(
    rng: np.random.Generator, drawn: Callable[[], Maps], cells: Maps
) -> None:
    beside = rng.random(cells.shape) * (cells == 0)
    figures = sanity(drawn() + beside, stacked(drawn) + beside, stacked(drawn) + beside, cells)
    assert figures["rank_correlation_all"] < 0.35
    assert figures["plain_all"] > 0.5


def test_an_empty_map_fails(drawn: Callable[[], Maps], cells: Maps) -> None:
    figures = sanity(np.zeros_like(cells), stacked(drawn), stacked(drawn), cells)
    assert (figures["passed"], figures["mass_on_cells"]) == (False, 0)


def test_fields_with_few_places_are_left_out(drawn: Callable[[], Maps], cells: Maps) -> None:
    cells[0] = 0
    cells[0].flat[: MIN_PLACES - 1] = 0.5
    cells[1] = 0
    cells[1].flat[:MIN_PLACES] = 0.5
    assert sanity(drawn(), stacked(drawn), stacked(drawn), cells)["n"] == FIELDS - 1
    figures = sanity(drawn(), stacked(drawn), stacked(drawn), np.zeros_like(cells))
    assert (figures["passed"], figures["n"], figures["rank_correlation_all"]) == (False, 0, 1)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.stack([cover(draw_smear(seed, 224, 224), COVERED) for seed in range(6)])


def test_what_is_taken_out_is_the_attention_of_a_cell_network(images: NDArray[np.uint8]) -> None:
    hidden = HideBackground("hidden")(normalise(images))
    attention = CellAttention("attention")(hidden, ops.zeros((len(images), 14, 14, 1)))
    places = np.asarray(attention).reshape(-1, 7, 2, 7, 2).sum(axis=(2, 4))
    shares = cell_shares(images)
    assert shares.max() > 0.5
    np.testing.assert_allclose(places, shares / shares.sum((1, 2), keepdims=True), atol=1e-5)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an architecture that is built in no time."""

    def build(image: keras.KerasTensor, weights: object) -> keras.KerasTensor:
        x = layers.Conv2D(24, 16, 16, use_bias=False)(image)
        x = layers.Activation("relu")(layers.BatchNormalization()(x))
        x = layers.AveragePooling2D(2, name=architectures.FEATURES)(x)
        return layers.GlobalAveragePooling2D(name=architectures.POOLED)(x)

    monkeypatch.setitem(architectures.ARCHITECTURES, "little", build)
    return "little"


def test_networks_are_drawn_anew_wholly_or_in_the_last_layer(
    little: str, images: NDArray[np.uint8]
) -> None:
    model = architectures.build(little, 1)
    ((all_weights, last_layer),) = randomised_networks(model, CALIBRATION, little, images, [5])
    expected = architectures.build(little, 5)
    settle_statistics(expected, images, 5)
    for found, drawn in zip(all_weights.get_weights(), expected.get_weights(), strict=True):
        assert np.array_equal(found, drawn)
    for layer, ours in zip(last_layer.layers, model.layers, strict=True):
        source = expected if layer.name == architectures.LOGITS else model
        for found, kept in zip(
            layer.get_weights(), source.layers[model.layers.index(ours)].get_weights(), strict=True
        ):
            assert np.array_equal(found, kept)


def test_a_network_that_learned_nothing_fails(little: str, images: NDArray[np.uint8]) -> None:
    """The network of seed 5 held against itself: its maps owe nothing to training."""
    model = architectures.build(little, 5)
    settle_statistics(model, images, 5)
    figures = saliency_figures(model, CALIBRATION, little, images, seeds=[5])
    assert figures["n"] > 0
    assert figures["rank_correlation_all"] == pytest.approx(1)
    assert figures["rank_correlation_last_layer"] == pytest.approx(1)
    assert figures["passed"] is False
    others = saliency_figures(model, CALIBRATION, little, images, seeds=[6, 7])
    assert others["rank_correlation_all"] < 0.99
    assert others["rank_correlation_all"] != others["rank_correlation_last_layer"]
    assert others["networks"] == 2
