"""Training, checkpointed after every epoch: the same command goes on where it was stopped."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.imaging.preprocess import cover
from export.config import CLASS_LABELS, COVERED
from export.data.dataset import Field, labels_of, load_canonical
from export.errors import RunError
from export.training import architectures
from export.training.augment import (
    augment,
    augment_cells,
    fill_corner,
    generator,
    patch,
    random_window,
)
from export.training.cells import hide_background, visible_cells
from export.training.runs import (
    CHECKPOINT,
    MODEL,
    Report,
    TrainConfig,
    begin,
    begun_from,
    finish,
    is_begun,
    read_history,
    replace,
    run_config,
    write_history,
)

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

CURVE_FIELDS = 256  # held-out fields that show a curve's shape; large networks are slow to ask


@dataclass(frozen=True, eq=False)
class _Fields:
    """Training fields in memory.

    Attributes:
        images: uint8 [N, 224, 224, 3] from ``fill_corner``.
        cells: uint8 [N, 224, 224] from ``visible_cells``; ``None`` where the network sees all.
        labels: int64 [N].
    """

    images: NDArray[np.uint8]
    cells: NDArray[np.uint8] | None
    labels: NDArray[np.int64]


def train(
    config: TrainConfig,
    training: Sequence[Field],
    held_out: Sequence[Field],
    run: Path,
    report: Report,
    weights: Path | None = None,
) -> keras.Model:
    """Train a network, or finish the training that ``run`` holds.

    Args:
        training: fields that give gradients.
        held_out: some of them, evenly spaced, are measured after every epoch for the learning
            curve alone; no epoch is chosen by them, the last one always counts.
        report: is told about progress, one line an epoch.
        weights: a local file of ImageNet weights to begin with.

    Returns:
        The finished network, averaged weights in place.

    Raises:
        RunError: ``run`` was begun with another configuration or other data, the fields do not
            fill a batch, or ``config`` names other weights than are given. No run folder is made.
    """
    config = begun_from(config, weights)
    if config.weights and weights is None and not (run / CHECKPOINT).exists():
        # Random weights under the name of others would make every figure of the run a lie.
        raise RunError(
            f"{run} is to begin from ImageNet weights (sha256 {config.weights[:12]}…), and their "
            "file is not given; name it with --weights."
        )
    steps = len(training) // config.batch_size
    if steps == 0:
        raise RunError(f"{len(training)} fields do not fill one batch of {config.batch_size}.")
    begun = is_begun(config, training, run)
    if begun and (run / MODEL).exists():
        report(f"{run} is finished")
        return load_run(run)
    cv2.setNumThreads(1)  # the network's own threads need the cores
    model = architectures.build(config.architecture, config.seed)
    learner = _resume_or_build(config, steps, run, weights)
    if not begun:
        begin(config, training, run)
    done = int(learner.optimizer.iterations) // steps
    fields = _load_fields(training, architectures.hides_background(model))
    held_images, held_labels = covered_images(held_out), labels_of(held_out)
    shown = np.s_[:: math.ceil(len(held_out) / CURVE_FIELDS)]
    history = read_history(run)[:done] if done else []
    begun_with = "ImageNet weights" if config.weights else "random weights"
    report(
        f"{run}: {config.architecture} of {model.count_params():,} parameters from {begun_with}, "
        f"{len(training)} fields, {done} of {config.epochs} epochs done"
    )

    began = time.monotonic()
    for epoch in range(done, config.epochs):
        started = time.monotonic()
        figures = _train_epoch(learner, config, epoch, fields)
        seconds = time.monotonic() - started
        model.set_weights(_averaged_weights(learner))
        figures |= _evaluate(model, held_images[shown], held_labels[shown])
        figures |= {"epoch": float(epoch + 1), "seconds": round(seconds, 1)}
        history.append(figures)
        replace(run / CHECKPOINT, learner.save_weights)
        write_history(run, history)
        left = (time.monotonic() - began) / (epoch + 1 - done) * (config.epochs - epoch - 1)
        report(_progress(figures, config.epochs, left))

    model.set_weights(_averaged_weights(learner))
    # Windows with cells hold other shares of nothing than whole fields do, and the running
    # statistics of many windows served unseen fields better than those of whole fields.
    if fields.cells is None:
        settle_statistics(model, covered_images(training), config.seed)
    finish(run)
    replace(run / MODEL, model.save_weights)
    accuracy = np.mean(predict_logits(model, held_images).argmax(axis=1) == held_labels)
    report(f"finished: held-out accuracy {accuracy:.4f} of {len(held_labels)} fields")
    return model


def load_run(run: Path) -> keras.Model:
    """The finished network of a run.

    Raises:
        RunError: the run is not finished.
    """
    if not (run / MODEL).exists():
        raise RunError(f"{run} holds no finished model; run `python -m export train` to its end.")
    config = run_config(run)
    model = architectures.build(config.architecture, config.seed)
    model.load_weights(run / MODEL)
    return model


def covered_images(fields: Sequence[Field]) -> NDArray[np.uint8]:
    """Canonical images as serving makes them, uint8 [N, 224, 224, 3]."""
    images = load_canonical([field.path for field in fields])
    for image in images:
        cover(image, COVERED)
    return images


def normalise(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The uniform input of a network: x/127.5 − 1, float32."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1)


def predict_logits(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of canonical images, float32 [N, classes]."""
    starts = range(0, len(images), 64)
    parts = [model.predict_on_batch(normalise(images[i : i + 64])) for i in starts]
    return np.concatenate(parts)


def class_weights(labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Weight of each class, inverse to its frequency, so that every class counts the same."""
    counts = np.bincount(labels, minlength=len(CLASS_LABELS))
    return (len(labels) / (len(CLASS_LABELS) * np.maximum(counts, 1))).astype(np.float32)


def settle_statistics(model: keras.Model, images: NDArray[np.uint8], seed: int) -> None:
    """Set the batch normalisations to the means over ``images``, in place.

    The running ones remember a dozen batches of augmented fields; serving shows fields as they
    are, to averaged weights. Precise batch normalisation (Wu and Johnson 2021): the k-th batch
    enters a plain average with weight 1/k.

    Args:
        images: canonical training images as serving makes them, uint8 [N, 224, 224, 3].
    """
    size = min(32, len(images))  # a large network keeps 200 MB for each image
    normalisations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    order = np.random.default_rng(seed).permutation(len(images))
    remembered = [layer.momentum for layer in normalisations]
    for batch, start in enumerate(range(0, len(images) - size + 1, size)):
        for layer in normalisations:
            layer.momentum = batch / (batch + 1)
        model(normalise(images[order[start : start + size]]), training=True)
    for layer, momentum in zip(normalisations, remembered, strict=True):
        layer.momentum = momentum


def _load_fields(training: Sequence[Field], cells_alone: bool) -> _Fields:
    images = np.stack([fill_corner(image) for image in load_canonical([f.path for f in training])])
    cells = np.stack([visible_cells(image) for image in images]) if cells_alone else None
    return _Fields(images, cells, labels_of(training))


def _train_epoch(
    learner: keras.Model, config: TrainConfig, epoch: int, fields: _Fields
) -> dict[str, float]:
    """One pass in an order drawn from (seed, epoch); the incomplete last batch is left out."""
    rate = float(learner.optimizer.learning_rate)
    # The seed state is not in a checkpoint; set from the epoch, a resumed run drops the same.
    learner.get_layer("dropout").seed_generator.state.assign([config.seed, epoch << 16])
    logs = [
        learner.train_on_batch(x, y, sample_weight=weight, return_dict=True)
        for x, y, weight in _batches(config, epoch, fields)
    ]
    return {
        "learning_rate": rate,
        "loss": float(np.mean([log["loss"] for log in logs])),
        "accuracy": float(np.mean([log["accuracy"] for log in logs])),
    }


def _batches(config: TrainConfig, epoch: int, fields: _Fields) -> Iterator[Batch]:
    """Augmented batches; the next one is made by a thread while the network learns from this."""
    size, labels = config.batch_size, fields.labels
    order = np.random.default_rng((config.seed, epoch)).permutation(len(labels))
    weights = class_weights(labels)
    targets = np.eye(len(CLASS_LABELS), dtype=np.float32)
    vary = (
        _whole_fields(config, epoch, fields)
        if fields.cells is None
        else _windows(config, epoch, fields, fields.cells)
    )

    def make(start: int) -> Batch:
        chosen = order[start : start + size]
        varied = np.stack([vary(int(index)) for index in chosen])
        return varied, targets[labels[chosen]], weights[labels[chosen]]

    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(make, 0)
        for start in range(size, len(labels) - size + 1, size):
            batch = ahead.result()
            ahead = pool.submit(make, start)
            yield batch
        yield ahead.result()


def _whole_fields(
    config: TrainConfig, epoch: int, fields: _Fields
) -> Callable[[int], NDArray[np.float32]]:
    """Varies a window of the field of an index, now and then patched with another of its class."""
    of_class = [np.flatnonzero(fields.labels == label) for label in range(len(CLASS_LABELS))]

    def vary(index: int) -> NDArray[np.float32]:
        rng = generator(config.seed, epoch, index)
        varied = augment(fields.images[index], rng, config.colour)
        if rng.random() < config.patch_share:
            partner = rng.choice(of_class[fields.labels[index]])
            varied = patch(varied, augment(fields.images[partner], rng, config.colour), rng)
        return normalise(random_window(varied, config.window, rng))

    return vary


def _windows(
    config: TrainConfig, epoch: int, fields: _Fields, cells: NDArray[np.uint8]
) -> Callable[[int], NDArray[np.float32]]:
    """Varies a window of the field of an index and hides all but its cells."""

    def vary(index: int) -> NDArray[np.float32]:
        rng = generator(config.seed, epoch, index)
        varied, seen = augment_cells(
            fields.images[index], cells[index], config.window, rng, config.colour
        )
        return hide_background(normalise(varied), seen)

    return vary


def _averaged_weights(learner: keras.Model) -> list[NDArray[np.float32]]:
    """All weights, averaged where they are trained; ``learner`` keeps the raw ones."""
    raw = learner.get_weights()
    learner.optimizer.finalize_variable_values(learner.trainable_variables)
    averaged = learner.get_weights()
    learner.set_weights(raw)
    return averaged


def _evaluate(
    model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Loss and accuracy of ``model``."""
    logits = predict_logits(model, images).astype(np.float64)
    largest = logits.max(axis=1, keepdims=True)
    normaliser = largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1))
    of_label = logits[np.arange(len(labels)), labels]
    return {
        "held_out_loss": float(np.mean(normaliser - of_label)),
        "held_out_accuracy": float(np.mean(logits.argmax(axis=1) == labels)),
    }


def _resume_or_build(
    config: TrainConfig, steps: int, run: Path, weights: Path | None
) -> keras.Model:
    """The compiled learner, with the variables of the checkpoint where there is one."""
    learner = architectures.learner(
        config.architecture, config.seed, config.window, config.precision, weights
    )
    warmup = config.warmup_epochs * steps
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / 100,
        decay_steps=max(1, config.epochs * steps - warmup),
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        use_ema=True,
        ema_momentum=config.ema_momentum,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )
    learner.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    optimizer.build(learner.trainable_variables)
    if (run / CHECKPOINT).exists():
        # Variables only: a loaded optimizer would have forgotten what it must not decay.
        learner.load_weights(run / CHECKPOINT)
    return learner


def _progress(figures: dict[str, float], epochs: int, left: float) -> str:
    return (
        f"epoch {figures['epoch']:.0f}/{epochs}  {figures['seconds']:.0f} s  "
        f"loss {figures['loss']:.4f}  accuracy {figures['accuracy']:.4f}  "
        f"held out: loss {figures['held_out_loss']:.4f} "
        f"accuracy {figures['held_out_accuracy']:.4f}  {left / 60:.1f} min left"
    )
