"""Run folders: what a training was asked for, how it went, and what came of it.

config.json            what was asked for, with the data digest and the git revision
checkpoint.weights.h5  raw weights, optimizer and its averages after the last whole epoch
history.csv            one row an epoch
model.weights.h5       the finished network's averaged weights; its presence ends the run
"""

import csv
import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnosis.core.files import sha256_of
from export.config import INPUT_WIDTH, ROOT
from export.data.dataset import Field, data_digest
from export.errors import RunError

Report = Callable[[str], None]

CHECKPOINT = "checkpoint.weights.h5"
MODEL = "model.weights.h5"
HISTORY = "history.csv"
CONFIG = "config.json"

# What a training can be asked for: the least and the most, both allowed.
RANGES = {
    "epochs": (1, 10_000),
    "seed": (0, 2**31 - 1),
    "batch_size": (1, 4096),
    "learning_rate": (1e-7, 1.0),
    "colour": (0.0, 1.0),
    "window": (16, INPUT_WIDTH),
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a network is trained, apart from its images.

    Attributes:
        learning_rate: peak; reached after ``warmup_epochs``, then a half cosine down to 0
            (Loshchilov and Hutter 2017).
        weight_decay: decoupled (AdamW), on convolution and dense kernels only.
        patch_share: how many fields get a rectangle of another field of their class; networks
            that see cells alone get none.
        ema_momentum: per step, for the averaged weights that are evaluated and published.
        colour: how far colours are varied, in [0, 1].
        window: side in pixels of the part of a field that is learned from at a time. What a
            network answers is an average over places, so it learns from parts what it says of
            whole fields, in a fraction of the time.
        precision: Keras's dtype policy while learning. ``mixed_bfloat16`` is faster where the
            processor multiplies bfloat16; weights are float32 in any case.
        weights: sha256 of the local file of ImageNet weights begun from; empty for random ones.

    Raises:
        RunError: a value is outside of ``RANGES``, or the window is no multiple of 16.
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
    colour: float = 1.0
    window: int = INPUT_WIDTH
    precision: str = "float32"
    weights: str = ""

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise RunError(
                    f"{name.replace('_', ' ')} is {value}; give a value from {least} to {most}."
                )
        if self.window % 16:
            raise RunError(f"A window of {self.window} pixels does not fit; take a multiple of 16.")


def run_config(run: Path) -> TrainConfig:
    """The configuration that a run was begun with.

    Raises:
        RunError: there is no such run.
    """
    document = _document(run)
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    return TrainConfig(**{key: value for key, value in document.items() if key in names})


def is_begun(config: TrainConfig, training: Sequence[Field], run: Path) -> bool:
    """Whether ``run`` was begun with this configuration and data; false where there is no run.

    Raises:
        RunError: it was begun with something else, or of other data.
    """
    if not (run / CONFIG).exists():
        return False
    begun, asked = _document(run), _asked(config, training)
    changed = sorted(key for key in asked if begun.get(key) != asked[key])
    if changed:
        raise RunError(
            f"{run} was begun with other values of {', '.join(changed)}; give --run another "
            "name, or the same values to go on."
        )
    return True


def begun_from(config: TrainConfig, weights: Path | None) -> TrainConfig:
    """``config`` with the digest of the file of weights to begin with, where there is one.

    Raises:
        RunError: the file cannot be read, or ``config`` names another.
    """
    if weights is None:
        return config
    digest = file_digest(weights)
    if config.weights not in ("", digest):
        raise RunError(
            f"{weights} (sha256 {digest[:12]}…) is not the file that the run began from "
            f"(sha256 {config.weights[:12]}…)."
        )
    return dataclasses.replace(config, weights=digest)


def begin(config: TrainConfig, training: Sequence[Field], run: Path) -> None:
    """Make the folder of a new run and write its ``config.json``."""
    run.mkdir(parents=True, exist_ok=True)
    _write_document(run, _asked(config, training) | {"git_revision": git_revision()})


def finish(run: Path) -> None:
    """Note which code finished the run; it may be other code than began it."""
    _write_document(run, _document(run) | {"finished_at_revision": git_revision()})


def file_digest(path: Path) -> str:
    """sha256 of a file, hexadecimal.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}).") from error


def git_revision() -> str:
    """The checked-out commit, with ``+`` where tracked files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside and rename, so that a kill never leaves half a file under the name."""
    beside = path.with_name(f"writing-{path.name}")
    write(beside)
    os.replace(beside, path)


def read_history(run: Path) -> list[dict[str, float]]:
    """One row an epoch: learning rate, loss and accuracy in training and held out, seconds."""
    with (run / HISTORY).open(newline="") as lines:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]


def write_history(run: Path, history: Sequence[dict[str, float]]) -> None:
    """What ``read_history`` reads back."""

    def write(path: Path) -> None:
        with path.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(history[0]))
            writer.writeheader()
            writer.writerows(history)

    replace(run / HISTORY, write)


def _asked(config: TrainConfig, training: Sequence[Field]) -> dict[str, Any]:
    return dataclasses.asdict(config) | {"training_data_digest": data_digest(training)}


def _document(run: Path) -> dict[str, Any]:
    """The content of ``config.json``."""
    try:
        document = json.loads((run / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{run} is no run folder ({error}); see `train --run`.") from error
    if not isinstance(document, dict):
        raise RunError(f"{run} is no run folder ({CONFIG} holds no object); see `train --run`.")
    return document


def _write_document(run: Path, document: dict[str, Any]) -> None:
    replace(run / CONFIG, lambda path: path.write_text(json.dumps(document, indent=2) + "\n"))
