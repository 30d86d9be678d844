"""Command line of the ML side: ``python -m export …``. The only argument parser."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Before TensorFlow is imported: its notes on CPU features would drown the progress lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from diagnosis.errors import ContractError
from diagnosis.predictors.store import read_live, version_dir
from export import config, registry
from export.dataset import read_fields
from export.errors import ExportError
from export.serving import wait_available
from export.split import official_split

if TYPE_CHECKING:
    from export.train import TrainConfig


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it did what it says."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (ExportError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _train(options: argparse.Namespace) -> None:
    from export.train import train

    training, calibration = official_split(read_fields(options.data))
    train(_train_config(options), training, calibration, _run(options), _say)


def _train_config(options: argparse.Namespace) -> "TrainConfig":
    from export.train import TrainConfig

    given = {key: getattr(options, key) for key in ("architecture", "epochs", "seed")}
    return TrainConfig(**{key: value for key, value in given.items() if value is not None})


def _cross_validate(options: argparse.Namespace) -> None:
    from export.crossval import cross_validate, out_of_fold_figures

    fields = read_fields(options.data)
    cross_validate(_run(options), fields, options.folds, options.epochs, _say)
    print(json.dumps(out_of_fold_figures(_run(options), fields), indent=1))


def _publish(options: argparse.Namespace) -> None:
    from export.publish import publish

    store, name = config.model_store(), config.model_name()
    version = publish(_run(options), options.data, store, name, options.note, _say)
    print(f"published version {version}; `python -m export promote {version}` makes it live")


def _evaluate(options: argparse.Namespace) -> None:
    from export.evaluate import measure
    from export.modelcard import draw, render

    store, name = config.model_store(), config.model_name()
    version = options.version or read_live(store, name).stable
    registry.check_version(store, name, version)
    folder = version_dir(store, name, version)
    card = json.loads((folder / "assets.extra/model_card.json").read_bytes())
    card["figures"] |= measure(folder, options.data)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(render(card, draw(card, options.output.parent)))
    print(f"wrote {options.output}")


def _validation(options: argparse.Namespace) -> None:
    from export.screening_report import write_report

    write_report(options.data, options.output)
    print(f"wrote {options.output}")


def _promote(options: argparse.Namespace) -> None:
    def wait(version: int) -> None:
        wait_available(config.predictor_url(), version, options.timeout)

    print(registry.promote(config.model_store(), config.model_name(), options.version, wait))


def _rollback(options: argparse.Namespace) -> None:
    print(registry.rollback(config.model_store(), config.model_name()))


def _list(options: argparse.Namespace) -> None:
    for line in registry.describe(config.model_store(), config.model_name()):
        print(line)


def _run(options: argparse.Namespace) -> Path:
    return config.runs_dir() / options.run


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, default=config.data_dir(), help="the data folder")
    run = argparse.ArgumentParser(add_help=False)
    run.add_argument("--run", default="custom_cnn", help="name of the run folder under runs/")
    docs = config.ROOT / "docs"

    command = commands.add_parser(
        "train", parents=[data, run], help="train a network, or go on with a stopped training"
    )
    command.add_argument("--architecture")
    command.add_argument("--epochs", type=int)
    command.add_argument("--seed", type=int)
    command.set_defaults(command=_train)

    command = commands.add_parser(
        "cross-validate", parents=[data, run], help="grouped out-of-fold figures of a run"
    )
    command.add_argument("--folds", type=int, default=3)
    command.add_argument("--epochs", type=int, help="of each fold; default: as the run itself")
    command.set_defaults(command=_cross_validate)

    command = commands.add_parser(
        "publish", parents=[data, run], help="make a run the next version; serves nothing yet"
    )
    command.add_argument("--note", default="", help="what else a reader of the card must know")
    command.set_defaults(command=_publish)

    command = commands.add_parser(
        "evaluate", parents=[data], help="measure a version and write docs/model.md"
    )
    command.add_argument("version", type=int, nargs="?", help="default: the stable one")
    command.add_argument("--output", type=Path, default=docs / "model.md")
    command.set_defaults(command=_evaluate)

    command = commands.add_parser(
        "validation", parents=[data], help="measure input validation and write its report"
    )
    command.add_argument("--output", type=Path, default=docs / "validation.md")
    command.set_defaults(command=_validation)

    command = commands.add_parser("promote", help="make a published version the stable one")
    command.add_argument("version", type=int)
    command.add_argument(
        "--timeout", type=float, default=120, help="seconds to wait for model servers to load it"
    )
    command.set_defaults(command=_promote)

    command = commands.add_parser("rollback", help="go back to the previous version")
    command.set_defaults(command=_rollback)

    command = commands.add_parser("list", help="published versions and their roles")
    command.set_defaults(command=_list)
    return parser


if __name__ == "__main__":
    sys.exit(main())
