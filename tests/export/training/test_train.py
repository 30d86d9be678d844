import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from export.data.dataset import data_digest, read_fields
from export.data.split import official_split
from export.errors import RunError
from export.evaluation.crossval import cross_validate, out_of_fold_figures, read_out_of_fold
from export.training import architectures
from export.training import train as training_module
from export.training.augment import random_window
from export.training.runs import TrainConfig, begun_from, run_config
from export.training.train import (
    class_weights,
    covered_images,
    load_run,
    predict_logits,
    settle_statistics,
    train,
)
from tests.export.conftest import Rows

SmallSet = tuple[Path, Rows]


class Killed(BaseException):
    """Stands for a kill at the worst moment a test can choose: between two epochs."""


def quiet(line: str) -> None:
    """Swallow progress."""


@pytest.fixture
def config(tiny_architecture: str) -> TrainConfig:
    return TrainConfig(
        architecture=tiny_architecture, epochs=3, batch_size=4, warmup_epochs=1, seed=7
    )


def test_same_configuration_gives_the_same_weights_also_after_a_kill(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    sides = official_split(read_fields(small_set[0]))
    whole = train(config, *sides, tmp_path / "whole", quiet)

    def die(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise Killed

    with pytest.raises(Killed):
        train(config, *sides, tmp_path / "killed", die)
    said: list[str] = []
    resumed = train(config, *sides, tmp_path / "killed", said.append)
    assert "2 of 3 epochs done" in said[0]
    for ours, theirs in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    histories = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(lines)]
        for lines in ((tmp_path / name / "history.csv").open() for name in ("whole", "killed"))
    ]
    assert histories[0] == histories[1]
    assert [row["epoch"] for row in histories[0]] == ["1.0", "2.0", "3.0"]


def test_a_learning_curve_takes_some_fields_of_every_class(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, held_out = official_split(read_fields(small_set[0]))
    asked: list[list[int]] = []

    def evaluate(model: object, images: object, labels: NDArray[np.int64]) -> dict[str, float]:
        asked.append(labels.tolist())
        return {"held_out_loss": 0.0, "held_out_accuracy": 0.0}

    monkeypatch.setattr(training_module, "CURVE_FIELDS", 5)
    monkeypatch.setattr(training_module, "_evaluate", evaluate)
    said: list[str] = []
    train(dataclasses.replace(config, epochs=1), training, held_out, tmp_path / "run", said.append)
    assert len(held_out) > 5
    assert len(asked[0]) <= 5
    assert len(set(asked[0])) > 1
    assert said[-1].endswith(f"of {len(held_out)} fields"), "the end is measured on all"


def test_another_seed_gives_other_weights(
    small_set: SmallSet, tiny_run: Path, config: TrainConfig, tmp_path: Path
) -> None:
    sides = official_split(read_fields(small_set[0]))
    other = train(config, *sides, tmp_path / "other", quiet)
    difference = [
        np.abs(a - b).max()
        for a, b in zip(other.get_weights(), load_run(tiny_run).get_weights(), strict=True)
    ]
    assert max(difference) > 1e-3


def test_a_run_is_not_continued_with_another_configuration(
    small_set: SmallSet, tiny_run: Path, config: TrainConfig
) -> None:
    sides = official_split(read_fields(small_set[0]))
    with pytest.raises(RunError, match=r"other values of epochs, seed; give --run another"):
        train(config, *sides, tiny_run, quiet)


def test_an_unfinished_run_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished model"):
        load_run(tmp_path)


def test_the_run_says_what_made_it(tiny_run: Path) -> None:
    document = json.loads((tiny_run / "config.json").read_text())
    assert document["seed"] == TrainConfig().seed
    assert len(document["training_data_digest"]) == 64


def test_rare_classes_weigh_more() -> None:
    weights = class_weights(np.array([0, 0, 0, 0, 1, 1, 2, 3]))
    np.testing.assert_allclose(weights, [0.5, 1, 2, 2])


def test_unknown_architecture_names_the_known_ones() -> None:
    with pytest.raises(RunError, match="custom_cnn"):
        architectures.build("alexnet", 0)


def test_custom_cnn_has_the_layers_the_published_graph_needs() -> None:
    model = architectures.build("custom_cnn", 0)
    assert model.get_layer(architectures.FEATURES).output.shape == (None, 7, 7, 192)
    assert model.get_layer(architectures.LOGITS).output.shape == (None, 4)
    assert 300_000 < model.count_params() < 1_400_000
    assert not architectures.hides_background(model)
    features = keras.Model(model.inputs, model.get_layer(architectures.FEATURES).output)
    noise = np.random.default_rng(0).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    assert (np.asarray(features(noise)) >= 0).all()


def test_predict_logits_equals_one_pass(tiny_run: Path) -> None:
    model = load_run(tiny_run)
    images = np.random.default_rng(0).integers(0, 256, (70, 224, 224, 3), np.uint8)
    expected = np.asarray(model(images.astype(np.float32) / 127.5 - 1))
    np.testing.assert_allclose(predict_logits(model, images), expected, atol=1e-5)


def test_out_of_fold_answers_cover_every_field_once(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    fields = read_fields(small_set[0])
    run = tmp_path / "run"
    assert out_of_fold_figures(run, fields) is None
    short = dataclasses.replace(config, epochs=1)
    cross_validate(run, short, fields, 2, quiet)
    figures = out_of_fold_figures(run, fields)
    assert figures is not None
    assert (figures["accuracy"]["n"], figures["accuracy"]["groups"]) == (16, 8)
    assert (figures["folds"], figures["epochs"]) == (2, 1)
    with pytest.raises(RunError, match="of other fields"):
        out_of_fold_figures(run, fields[1:])


def test_out_of_fold_answers_are_those_of_the_network_that_never_saw_the_group(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    fields = read_fields(small_set[0])
    cross_validate(tmp_path, config, fields, 2, quiet)
    answers = read_out_of_fold(tmp_path, fields)
    assert answers is not None
    for number in (1, 2):
        folder = tmp_path / f"fold-{number}of2"
        held_out = [f for f, fold in zip(fields, answers.fold, strict=True) if fold == number]
        rest = [f for f, fold in zip(fields, answers.fold, strict=True) if fold != number]
        document = json.loads((folder / "config.json").read_text())
        assert document["training_data_digest"] == data_digest(rest)
        logits = predict_logits(load_run(folder), covered_images(held_out))
        np.testing.assert_allclose(answers.logits[answers.fold == number], logits, rtol=1e-4)


def test_bounds_of_a_fold_come_from_the_other_folds(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    """Spoiling the answers of a fold moves the bounds of every fold but its own."""
    fields = read_fields(small_set[0])
    cross_validate(tmp_path, config, fields, 2, quiet)
    answers = read_out_of_fold(tmp_path, fields)
    assert answers is not None
    before = answers.decisions()
    answers.scores[answers.fold == 1] += 100
    after = answers.decisions()
    assert after[1] == before[1]
    assert after[2].ood_max > before[2].ood_max + 50


@pytest.mark.data
def test_training_on_real_fields_is_reproducible(data_dir: Path, tmp_path: Path) -> None:
    """A network of full size, one epoch on windows of a few fields, twice."""
    train_side, calibration = official_split(read_fields(data_dir))
    config = TrainConfig(epochs=1, batch_size=16, warmup_epochs=0, window=64)
    sides = train_side[::60], calibration[::50]
    first, second = (train(config, *sides, tmp_path / name, quiet) for name in "ab")
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_settled_statistics_are_those_of_the_images_given(tiny_run: Path) -> None:
    model = load_run(tiny_run)
    images = np.random.default_rng(0).integers(0, 256, (192, 224, 224, 3), np.uint8)
    (layer,) = (x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))
    before = keras.Model(model.inputs, layer.input)
    settle_statistics(model, images, seed=0)
    values = before.predict(images.astype(np.float32) / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(layer.moving_mean, values.mean(axis=(0, 1, 2)), atol=1e-5)
    by_batch = np.mean(
        [values[part].var(axis=(0, 1, 2)) for part in np.split(_order(192), 6)], axis=0
    )
    np.testing.assert_allclose(layer.moving_variance, by_batch, rtol=1e-4)
    assert layer.momentum == 0.5


def _order(size: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(size)


def test_a_finished_run_has_settled_statistics(small_set: SmallSet, tiny_run: Path) -> None:
    training, _ = official_split(read_fields(small_set[0]))
    model = load_run(tiny_run)
    (layer,) = (x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))
    images = covered_images(training).astype(np.float32) / 127.5 - 1
    values = keras.Model(model.inputs, layer.input).predict(images, verbose=0)
    np.testing.assert_allclose(layer.moving_mean, values.mean(axis=(0, 1, 2)), atol=1e-5)


def test_measuring_the_averaged_weights_leaves_the_raw_ones_to_train_on(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of a run with averaging is that of a run without, but for the averages."""
    sides = official_split(read_fields(small_set[0]))
    train(config, *sides, tmp_path / "averaged", quiet)
    monkeypatch.setattr(training_module, "_averaged_weights", lambda learner: learner.get_weights())
    train(config, *sides, tmp_path / "never averaged", quiet)
    checkpoints = [
        h5py.File(tmp_path / name / "checkpoint.weights.h5")
        for name in ("averaged", "never averaged")
    ]
    ours, theirs = (
        {p: np.asarray(d) for p, d in _datasets(file["layers"])} for file in checkpoints
    )
    assert ours.keys() == theirs.keys()
    assert len(ours) >= 7
    for path in ours:
        np.testing.assert_array_equal(ours[path], theirs[path])


def test_what_is_finished_is_the_average(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    sides = official_split(read_fields(small_set[0]))
    finished = train(config, *sides, tmp_path / "run", quiet)
    kernel = finished.get_layer(architectures.LOGITS).kernel
    with h5py.File(tmp_path / "run/checkpoint.weights.h5") as file:
        stored = [np.asarray(d) for _, d in _datasets(file) if d.shape == kernel.shape]
    distances = sorted(float(np.abs(np.asarray(kernel) - weights).max()) for weights in stored)
    assert distances[0] == 0  # the average
    assert distances[1] > 0  # and the raw weights are others


def _datasets(group: h5py.Group) -> list[tuple[str, h5py.Dataset]]:
    found: list[tuple[str, h5py.Dataset]] = []
    group.visititems(
        lambda path, item: found.append((path, item)) if isinstance(item, h5py.Dataset) else None
    )
    return found


def test_a_network_of_cells_alone_learns_from_windows_in_which_nothing_else_is_left(
    small_set: SmallSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, held_out = official_split(read_fields(small_set[0]))
    config = TrainConfig(
        architecture="cell_cnn", epochs=1, batch_size=4, warmup_epochs=0, window=64
    )
    seen: list[np.ndarray] = []
    real = training_module.hide_background

    def spy(normalised: np.ndarray, cells: np.ndarray) -> np.ndarray:
        seen.append(real(normalised, cells))
        return seen[-1]

    def settle(*_: object) -> None:
        raise AssertionError("whole fields are not what its normalisations have seen")

    monkeypatch.setattr(training_module, "hide_background", spy)
    monkeypatch.setattr(training_module, "settle_statistics", settle)
    model = train(config, training, held_out, tmp_path / "run", quiet)
    assert len(seen) == len(training)
    for window in seen:
        assert window.shape == (64, 64, 4)
        assert 0 < window[..., 3].mean() < 0.9
        assert not window[window[..., 3] == 0].any()
    assert model.input_shape == (None, 224, 224, 3)


def test_a_learner_in_half_precision_has_the_weights_of_the_network(tmp_path: Path) -> None:
    learner = architectures.learner("cell_cnn", 0, 64, "mixed_bfloat16")
    model = architectures.build("cell_cnn", 1)
    model.set_weights(learner.get_weights())
    assert keras.config.dtype_policy().name == "float32"
    assert {w.dtype for w in learner.trainable_weights} == {"float32"}
    assert model.layers[3].compute_dtype == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in learner.layers}


def test_too_few_fields_for_a_batch_is_said(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    training, held_out = official_split(read_fields(small_set[0]))
    with pytest.raises(RunError, match="do not fill one batch"):
        train(config, training[:3], held_out, tmp_path / "run", quiet)
    assert not (tmp_path / "run").exists()


def test_every_fold_begins_from_the_file_that_is_given(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    file, fields = tmp_path / "a.weights.h5", read_fields(small_set[0])
    file.write_bytes(b"weights")
    short = dataclasses.replace(config, epochs=1)
    cross_validate(tmp_path / "run", short, fields, 2, quiet, file)
    digests = [run_config(path).weights for path in sorted((tmp_path / "run").glob("fold-*"))]
    assert digests == [hashlib.sha256(b"weights").hexdigest()] * 2


def test_a_network_of_whole_fields_may_learn_from_windows(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, held_out = official_split(read_fields(small_set[0]))
    seen: list[tuple[int, ...]] = []

    def record(varied: NDArray[np.uint8], side: int, rng: np.random.Generator) -> object:
        window = random_window(varied, side, rng)
        seen.append(window.shape)
        return window

    monkeypatch.setattr("export.training.train.random_window", record)
    windowed = dataclasses.replace(config, window=64)
    model = train(windowed, training, held_out, tmp_path / "run", quiet)
    assert set(seen) == {(64, 64, 3)}
    assert model.input_shape == (None, 224, 224, 3)


def test_a_run_begins_from_the_file_it_names_and_from_no_other(
    config: TrainConfig, tmp_path: Path
) -> None:
    file, other = tmp_path / "a.weights.h5", tmp_path / "b.weights.h5"
    file.write_bytes(b"weights")
    other.write_bytes(b"other weights")
    assert begun_from(config, None) == config
    begun = begun_from(config, file)
    assert begun.weights == hashlib.sha256(b"weights").hexdigest()
    assert begun_from(begun, file) == begun
    with pytest.raises(RunError, match="is not the file that the run began from"):
        begun_from(begun, other)


def test_folds_do_not_begin_from_random_weights_under_the_name_of_others(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    named = dataclasses.replace(config, weights="0" * 64)
    with pytest.raises(RunError, match="their file is not given"):
        cross_validate(tmp_path / "run", named, read_fields(small_set[0]), 2, quiet)
    assert not (tmp_path / "run").exists()
