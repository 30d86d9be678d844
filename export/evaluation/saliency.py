"""Whether activation maps say something about what the network learned.

Sanity check of Adebayo et al. (2018, "Sanity checks for saliency maps"): a map that stays the same
when the weights are drawn anew shows the picture and the architecture, not the network. Each
calibration field's map is held against those of networks of the same architecture (a) with all
weights drawn anew and (b) with the last dense layer alone drawn anew.

*Why a partial correlation.* A network that sees cells alone (``cell_cnn``) weights its evidence by
the share of cell in each place, so its map follows the cells whatever its weights are: trained and
random networks had a rank correlation of 0.91 – 0.92 over 49 places, and still 0.72 – 0.79 over
those that hold cells, because a place full of cell outranks one that holds a rim. So Spearman's
correlation is taken over places with cells only, with the share of cell taken out of both maps
(partial rank correlation). What a map says beyond where cells are must come from the weights;
where either says nothing beyond it, that counts as a correlation of 1. The plain correlation over
all places stands beside it and decides nothing: near 1 it means that, to the eye, the map mostly
shows where the cells are.

*Why random networks are settled.* Their batch normalisations are set on the fields: MobileNetV2 as
it is drawn shrinks what passes through it so far that no evidence is left to compare.

*Why these bounds.* Measured, before random networks were settled, on 125 fields (every fourth of
calibration) and 10 seeds, median absolute partial correlation for (a) and (b): version 1 0.38 and
0.61, two trial trainings of ``cell_cnn``, before it standardised colours, 0.23 and 0.36, 0.21 and
0.39. A control that forgets the class (the norm of the features): version 1 0.66 and 1,
``cell_cnn`` 0.28 and 1. ``BOUND`` stands between 0.38 and 0.66; on ``cell_cnn`` it takes (b) to
find the control out. Single seeds ranged from 0.19 to 0.79 in version 1, hence ten of them.

*Localisation.* Activation must lie on cells more than their area alone would bring. Share of
activation on cells over share of area, same fields: version 1 1.2, random networks of its
architecture 0.9 – 1.3, ``cell_cnn`` 2.9. ``FACTOR`` stands between. Random networks that see cells
alone have 2.7 – 3.0 as well (1.4 one that often found no evidence), so there it is the
architecture that speaks, not the weights.

*What does not pass.* ``cell_mobilenet_v2``, version 2: 0.18 for (a), 0.60 for (b), on 4 seeds. Its
features vary among the places of a field mostly along a few directions, so that any last layer
ranks the places much alike. Taking from the class's weights their mean over the classes (0.73),
those of the second class (0.53), or from the features their mean over the field (0.57) does not
mend it: the map tells a little about what the network learned and nearly nothing about why this
class and no other, and it is not shown as if it did.
"""

from collections.abc import Iterable, Iterator

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from export.evaluation.metrics import Figures
from export.training.architectures import LOGITS, build
from export.training.calibrate import Calibration
from export.training.cells import visible_cells
from export.training.savedmodel import MAP_SIDE, Graph
from export.training.train import settle_statistics

BOUND = 0.5  # of the median absolute partial rank correlation
FACTOR = 2.0  # share of activation on cells over their share of area
MIN_PLACES = 8  # with cells, of a field that is compared; fewer leave a rank correlation to chance
SEEDS = range(1000, 1010)  # no training begins with one of these
Maps = NDArray[np.floating]


def saliency_figures(
    model: keras.Model,
    calibration: Calibration,
    architecture: str,
    images: NDArray[np.uint8],
    seeds: Iterable[int] = SEEDS,
) -> Figures:
    """``sanity`` of the maps that ``model`` publishes.

    Args:
        model: the trained network, or ``Graph.model`` of it.
        calibration: any for this model; the maps do not depend on it.
        architecture: the model's.
        images: covered canonical fields, uint8 [N, 224, 224, 3].
        seeds: of the networks that learned nothing.
    """

    def maps(network: keras.Model) -> Maps:
        return Graph(network, calibration).answers(images)["activation"]

    pairs = [
        (maps(all_weights), maps(last_layer))
        for all_weights, last_layer in randomised_networks(
            model, calibration, architecture, images, seeds
        )
    ]
    all_weights, last_layer = (np.stack(part) for part in zip(*pairs, strict=True))
    return sanity(maps(model), all_weights, last_layer, cell_shares(images))


def randomised_networks(
    model: keras.Model,
    calibration: Calibration,
    architecture: str,
    images: NDArray[np.uint8],
    seeds: Iterable[int],
) -> Iterator[tuple[keras.Model, keras.Model]]:
    """For each seed a network drawn anew, and ``model`` with that network's last dense layer.

    The first has its batch normalisations set on ``images``. The second is one network that
    changes with the next seed, because building one takes longer than asking it.
    """
    # Weights can only be copied by their order, which a graph's outputs may change.
    trained = Graph(model, calibration).model.get_weights()
    last_layer = build(architecture, 0)
    Graph(last_layer, calibration).model.set_weights(trained)
    for seed in seeds:
        all_weights = build(architecture, seed)
        last_layer.get_layer(LOGITS).set_weights(all_weights.get_layer(LOGITS).get_weights())
        settle_statistics(all_weights, images, seed)
        yield all_weights, last_layer


def cell_shares(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of nucleated cell in each place of a map, float64 [N, 7, 7] in [0, 1].

    By the rule that cell networks go by (``training.cells``), so that what is taken out of their
    maps is exactly their attention.
    """
    step = images.shape[1] // MAP_SIDE
    places = (len(images), MAP_SIDE, step, MAP_SIDE, step)
    return np.stack([visible_cells(image) for image in images]).reshape(places).mean((2, 4))


def sanity(trained: Maps, all_weights: Maps, last_layer: Maps, cells: Maps) -> Figures:
    """Compare maps of a trained network with those of networks that learned nothing.

    Args:
        trained: maps of N fields, float [N, 7, 7] ≥ 0.
        all_weights: of R networks with all weights drawn anew, float [R, N, 7, 7].
        last_layer: of R networks with the last dense layer drawn anew, float [R, N, 7, 7].
        cells: share of nucleated cell in each place, float [N, 7, 7].

    Returns:
        ``passed``; ``rank_correlation_all`` and ``rank_correlation_last_layer`` with their
        ``bound``; ``mass_on_cells`` and ``area_of_cells`` with their ``factor``; ``plain_all``
        and ``plain_last_layer``, correlations over all places; ``n`` fields compared (those with
        cells in ``MIN_PLACES`` places) and ``networks``. Without any field nothing is shown, and
        the check is not passed.
    """
    usable = np.flatnonzero((cells > 0).sum(axis=(1, 2)) >= MIN_PLACES)
    trained, cells = trained[usable], cells[usable]
    partial_all, plain_all = _correlations(trained, all_weights[:, usable], cells)
    partial_last, plain_last = _correlations(trained, last_layer[:, usable], cells)
    mass = trained.sum(axis=(1, 2))
    on_cells = (trained * cells).sum(axis=(1, 2)) / np.where(mass > 0, mass, 1)
    mass_on_cells = float(on_cells.mean()) if len(usable) else 0.0
    area_of_cells = float(cells.mean()) if len(usable) else 0.0
    return {
        "passed": max(partial_all, partial_last) < BOUND and mass_on_cells > FACTOR * area_of_cells,
        "rank_correlation_all": partial_all,
        "rank_correlation_last_layer": partial_last,
        "bound": BOUND,
        "mass_on_cells": mass_on_cells,
        "area_of_cells": area_of_cells,
        "factor": FACTOR,
        "plain_all": plain_all,
        "plain_last_layer": plain_last,
        "n": len(usable),
        "networks": len(all_weights),
    }


def _correlations(trained: Maps, others: Maps, cells: Maps) -> tuple[float, float]:
    """Median over fields and networks of the partial and the plain likeness; 1 without any."""
    partial, plain = [], []
    for maps in others:
        for ours, other, share in zip(trained, maps, cells, strict=True):
            held = share > 0
            partial.append(_likeness(ours[held], other[held], share[held]))
            plain.append(_likeness(ours.ravel(), other.ravel(), np.zeros(share.size)))
    return float(np.median(partial or [1])), float(np.median(plain or [1]))


def _likeness(ours: Maps, other: Maps, given: Maps) -> float:
    """Absolute partial rank correlation of two maps, 1 where one says no more than ``given``.

    Args:
        ours, other, given: float [places].
    """
    ranks = rankdata(np.stack([ours, other, given]), axis=1)
    x, y, z = ranks - ranks.mean(axis=1, keepdims=True)
    if z.any():
        x, y = x - z * (x @ z) / (z @ z), y - z * (y @ z) / (z @ z)
    size = np.linalg.norm(x) * np.linalg.norm(y)
    return float(abs(x @ y) / size) if size > 1e-6 else 1.0
