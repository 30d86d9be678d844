"""Training, checkpointed after every epoch: the same command goes on where it was stopped.

A run folder holds

    config.json       what was asked for, with the data digest and the git revision
    checkpoint.weights.h5  raw weights, optimizer and its averages after the last whole epoch
    history.csv       one row an epoch
    model.keras       the finished network, with averaged weights; its presence ends the run
"""

import csv
import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from diagnosis.imaging.preprocess import cover
from export import architectures
from export.augment import augment, fill_corner, generator, patch
from export.config import CLASS_LABELS, COVERED, ROOT
from export.dataset import Field, data_digest, labels_of, load_canonical
from export.errors import RunError

Report = Callable[[str], None]
Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

CHECKPOINT = "checkpoint.weights.h5"
MODEL = "model.keras"
HISTORY = "history.csv"
CONFIG = "config.json"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a network is trained, apart from its images.

    Attributes:
        learning_rate: peak; reached after ``warmup_epochs``, then a half cosine down to 0
            (Loshchilov and Hutter 2017).
        weight_decay: decoupled (AdamW), on convolution and dense kernels only.
        patch_share: how many fields get a rectangle of another field of their class.
        ema_momentum: per step, for the averaged weights that are evaluated and published.
    """

    architecture: str = "custom_cnn"
    epochs: int = 45
    seed: int = 20261
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup_epochs: int = 2
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    ema_momentum: float = 0.99
    patch_share: float = 0.3


def train(
    config: TrainConfig,
    training: Sequence[Field],
    held_out: Sequence[Field],
    run: Path,
    report: Report,
) -> keras.Model:
    """Train a network, or finish the training that ``run`` holds.

    Args:
        training: fields that give gradients.
        held_out: fields measured after every epoch, for the learning curve alone; no epoch is
            chosen by them, the last one always counts.
        report: is told about progress, one line an epoch.

    Returns:
        The finished network, averaged weights in place.

    Raises:
        RunError: ``run`` was begun with another configuration or other data.
    """
    _begin(config, training, run)
    if (run / MODEL).exists():
        report(f"{run} is finished")
        return load_run(run)
    keras.utils.set_random_seed(config.seed)
    cv2.setNumThreads(1)  # the network's own threads need the cores
    steps = len(training) // config.batch_size
    model = _resume_or_build(config, steps, run)
    done = int(model.optimizer.iterations) // steps
    images = np.stack([fill_corner(image) for image in load_canonical([f.path for f in training])])
    labels = labels_of(training)
    held_images, held_labels = covered_images(held_out), labels_of(held_out)
    history = _read_history(run)[:done]
    report(f"{run}: {len(training)} fields, {model.count_params():,} parameters, from epoch {done}")

    began = time.monotonic()
    for epoch in range(done, config.epochs):
        started = time.monotonic()
        figures = _train_epoch(model, config, epoch, images, labels)
        figures |= _evaluate_averaged(model, held_images, held_labels)
        figures |= {"epoch": float(epoch + 1), "seconds": round(time.monotonic() - started, 1)}
        history.append(figures)
        _replace(run / CHECKPOINT, model.save_weights)
        _write_history(run, history)
        left = (time.monotonic() - began) / (epoch + 1 - done) * (config.epochs - epoch - 1)
        report(_progress(figures, config.epochs, left))

    model.optimizer.finalize_variable_values(model.trainable_variables)
    finished = keras.Model(model.input, model.output, name=model.name)
    settle_statistics(finished, covered_images(training), config.seed)
    _finish(run)
    _replace(run / MODEL, finished.save)
    accuracy = np.mean(predict_logits(finished, held_images).argmax(axis=1) == held_labels)
    report(f"finished: held-out accuracy {accuracy:.4f} of {len(held_labels)} fields")
    return finished


def load_run(run: Path) -> keras.Model:
    """The finished network of a run.

    Raises:
        RunError: the run is not finished.
    """
    if not (run / MODEL).exists():
        raise RunError(f"{run} holds no finished model; run `python -m export train` to its end.")
    return keras.models.load_model(run / MODEL, compile=False)


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
    size = min(64, len(images))
    normalisations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    order = np.random.default_rng(seed).permutation(len(images))
    remembered = [layer.momentum for layer in normalisations]
    for batch, start in enumerate(range(0, len(images) - size + 1, size)):
        for layer in normalisations:
            layer.momentum = batch / (batch + 1)
        model(normalise(images[order[start : start + size]]), training=True)
    for layer, momentum in zip(normalisations, remembered, strict=True):
        layer.momentum = momentum


def _train_epoch(
    model: keras.Model,
    config: TrainConfig,
    epoch: int,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> dict[str, float]:
    """One pass in an order drawn from (seed, epoch); the incomplete last batch is left out."""
    rate = float(model.optimizer.learning_rate)
    # The seed state is not in a checkpoint; set from the epoch, a resumed run drops the same.
    model.get_layer("dropout").seed_generator.state.assign([config.seed, epoch << 16])
    logs = [
        model.train_on_batch(x, y, sample_weight=weight, return_dict=True)
        for x, y, weight in _batches(config, epoch, images, labels)
    ]
    return {
        "learning_rate": rate,
        "loss": float(np.mean([log["loss"] for log in logs])),
        "accuracy": float(np.mean([log["accuracy"] for log in logs])),
    }


def _batches(
    config: TrainConfig, epoch: int, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Iterator[Batch]:
    """Augmented batches; the next one is made by a thread while the network learns from this."""
    size = config.batch_size
    order = np.random.default_rng((config.seed, epoch)).permutation(len(images))
    weights = class_weights(labels)
    targets = np.eye(len(CLASS_LABELS), dtype=np.float32)

    of_class = [np.flatnonzero(labels == label) for label in range(len(targets))]

    def vary(index: int) -> NDArray[np.uint8]:
        rng = generator(config.seed, epoch, index)
        varied = augment(images[index], rng)
        if rng.random() < config.patch_share:
            partner = rng.choice(of_class[labels[index]])
            varied = patch(varied, augment(images[partner], rng), rng)
        return varied

    def make(start: int) -> Batch:
        chosen = order[start : start + size]
        varied = np.stack([vary(int(index)) for index in chosen])
        return normalise(varied), targets[labels[chosen]], weights[labels[chosen]]

    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(make, 0)
        for start in range(size, len(images) - size + 1, size):
            batch = ahead.result()
            ahead = pool.submit(make, start)
            yield batch
        yield ahead.result()


def _evaluate_averaged(
    model: keras.Model, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Loss and accuracy of the averaged weights; the raw ones are put back afterwards."""
    raw = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_variables)
    logits = predict_logits(model, images).astype(np.float64)
    model.set_weights(raw)
    largest = logits.max(axis=1, keepdims=True)
    normaliser = largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1))
    of_label = logits[np.arange(len(labels)), labels]
    return {
        "held_out_loss": float(np.mean(normaliser - of_label)),
        "held_out_accuracy": float(np.mean(logits.argmax(axis=1) == labels)),
    }


def _resume_or_build(config: TrainConfig, steps: int, run: Path) -> keras.Model:
    """The compiled network, with the variables of the checkpoint where there is one."""
    model = architectures.build(config.architecture, config.seed)
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
    model.compile(optimizer, loss, metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")])
    optimizer.build(model.trainable_variables)
    if (run / CHECKPOINT).exists():
        # Variables only: a loaded optimizer would have forgotten what it must not decay.
        model.load_weights(run / CHECKPOINT)
    return model


def _begin(config: TrainConfig, training: Sequence[Field], run: Path) -> None:
    """Write ``config.json``, or check that an existing one asks for the same."""
    asked = dataclasses.asdict(config) | {"training_data_digest": data_digest(training)}
    path = run / CONFIG
    if path.exists():
        begun = json.loads(path.read_bytes())
        for revision in ("git_revision", "finished_at_revision"):
            begun.pop(revision, None)
        if begun != asked:
            changed = sorted(k for k in asked if begun.get(k) != asked[k])
            raise RunError(
                f"{run} was begun with other values of {', '.join(changed)}; give --run another "
                "name, or the same values to go on."
            )
        return
    run.mkdir(parents=True, exist_ok=True)
    document = asked | {"git_revision": git_revision()}
    path.write_text(json.dumps(document, indent=2) + "\n")


def _finish(run: Path) -> None:
    """Note which code finished the run; it may be other code than began it."""
    document = json.loads((run / CONFIG).read_bytes()) | {"finished_at_revision": git_revision()}
    _replace(run / CONFIG, lambda path: path.write_text(json.dumps(document, indent=2) + "\n"))


def git_revision() -> str:
    """The checked-out commit, with ``+`` where tracked files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside and rename, so that a kill never leaves half a file under the name."""
    beside = path.with_name(f"writing-{path.name}")
    write(beside)
    os.replace(beside, path)


def _read_history(run: Path) -> list[dict[str, float]]:
    if not (run / HISTORY).exists():
        return []
    with (run / HISTORY).open(newline="") as lines:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]


def _write_history(run: Path, history: Sequence[dict[str, float]]) -> None:
    def write(path: Path) -> None:
        with path.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(history[0]))
            writer.writeheader()
            writer.writerows(history)

    _replace(run / HISTORY, write)


def _progress(figures: dict[str, float], epochs: int, left: float) -> str:
    return (
        f"epoch {figures['epoch']:.0f}/{epochs}  {figures['seconds']:.0f} s  "
        f"loss {figures['loss']:.4f}  accuracy {figures['accuracy']:.4f}  "
        f"held out: loss {figures['held_out_loss']:.4f} "
        f"accuracy {figures['held_out_accuracy']:.4f}  {left / 60:.1f} min left"
    )
