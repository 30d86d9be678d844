"""Command line of the ML side: ``python -m export …``. The only argument parser."""

import argparse
import sys
from dataclasses import fields as dataclass_fields
from pathlib import Path

from diagnosis.errors import ContractError
from export import config


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it did what it says."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except _expected_errors() as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    from export.dataset import read_fields
    from export.split import official_split
    from export.train import train

    training, calibration = official_split(read_fields(options.data))
    train(_train_config(options), training, calibration, _run(options), _say)


def _train_config(options: argparse.Namespace):
    from export.train import TrainConfig

    names = {field.name for field in dataclass_fields(TrainConfig)}
    given = {k: v for k, v in vars(options).items() if k in names and v is not None}
    return TrainConfig(**given)


def _run(options: argparse.Namespace) -> Path:
    return config.runs_dir() / options.run


def _say(line: str) -> None:
    print(line, flush=True)


def _expected_errors() -> tuple[type[Exception], ...]:
    """What a user can mend; anything else is a defect and shows its traceback."""
    from export.dataset import DataError
    from export.train import RunError

    return (DataError, RunError, ContractError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train a network, or go on with a stopped training")
    train.add_argument("--architecture")
    train.add_argument("--epochs", type=int)
    train.add_argument("--seed", type=int)
    train.add_argument("--run", default="custom_cnn", help="name of the run folder under runs/")
    train.add_argument("--data", type=Path, default=config.data_dir())
    train.set_defaults(command=_train)
    return parser


if __name__ == "__main__":
    sys.exit(main())
