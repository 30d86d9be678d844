"""What a training may be asked for, and what stays when it was asked for the impossible."""

import dataclasses
from pathlib import Path

import pytest

from export.data.dataset import read_fields
from export.data.split import official_split
from export.errors import RunError
from export.training.runs import TrainConfig, begin, is_begun, run_config
from export.training.train import train
from tests.export.conftest import Rows


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"epochs": 0}, "epochs is 0; give a value from 1 to"),
        ({"batch_size": 0}, "batch size is 0; give a value from 1 to"),
        ({"seed": -1}, "seed is -1; give a value from 0 to"),
        ({"learning_rate": 0.0}, "learning rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"colour": 1.5}, "colour is 1.5; give a value from 0.0 to 1.0"),
        ({"window": 0}, "window is 0; give a value from 16 to 224"),
        ({"window": 240}, "window is 240; give a value from 16 to 224"),
        ({"window": 100}, "take a multiple of 16"),
    ],
)
def test_what_no_training_can_do_is_said(asked: dict[str, float], says: str) -> None:
    with pytest.raises(RunError, match=says):
        TrainConfig(**asked)  # type: ignore[arg-type]


def test_a_run_that_cannot_begin_leaves_no_folder(
    small_set: tuple[Path, Rows], tmp_path: Path
) -> None:
    """Or the next try, with what was wrong mended, would be told that it asks for another."""
    sides, run = official_split(read_fields(small_set[0])), tmp_path / "run"
    file = tmp_path / "no.weights.h5"
    file.write_bytes(b"no weights")
    config = TrainConfig(architecture="custom_cnn", batch_size=4)
    with pytest.raises(RunError, match="custom_cnn has no ImageNet weights"):
        train(config, *sides, run, lambda line: None, file)
    other = dataclasses.replace(config, architecture="mobilenet_v2")
    with pytest.raises(RunError, match="holds no weights for mobilenet_v2"):
        train(other, *sides, run, lambda line: None, file)
    assert not run.exists()


def test_a_damaged_run_folder_is_one_sentence(small_set: tuple[Path, Rows], tmp_path: Path) -> None:
    training, _ = official_split(read_fields(small_set[0]))
    run, config = tmp_path / "run", TrainConfig()
    assert not is_begun(config, training, run)
    begin(config, training, run)
    assert is_begun(config, training, run)
    assert run_config(run) == config
    for damaged in (b'{"epochs"', b"[]", b"7"):
        (run / "config.json").write_bytes(damaged)
        with pytest.raises(RunError, match="is no run folder"):
            is_begun(config, training, run)
