"""The trainer as a process: `python -m services.trainer [fit|search|export|import]`."""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from services.trainer.quiet import without_chatter
from services.trainer.settings import TrainerSettings
from shared.adapters.process import exit_code, log_to_stderr, stop_on_signal
from shared.adapters.retry import StopRequested

# Each subcommand imports what it needs: TensorFlow takes seconds, and `import` runs without it.

_FLAGS = {
    "preset": "PRESET",
    "from": "TRAIN_FROM",
    "to": "TRAIN_TO",
    "symbols": "SYMBOLS",
    "epochs": "EPOCHS",
    "windows": "WINDOWS_PER_EPOCH",
    "seed": "SEED",
    "promote": "PROMOTE",
    "report": "REPORT",
}


def main() -> None:
    """Do what the arguments say; without any, train on schedule until told to stop."""
    arguments = _parser().parse_args()
    settings = TrainerSettings.from_env(_with_flags(os.environ, arguments))
    # TensorFlow tells at level INFO which processor it found.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    log_to_stderr(settings.log_level, "trainer")
    arguments.run(settings, arguments)


def _serve(settings: TrainerSettings, _: argparse.Namespace) -> None:
    with without_chatter():
        from services.trainer.fitting.keras_backend import find_devices
        from services.trainer.pipeline import run

        find_devices()

    run(settings, stop_on_signal())


def _fit(settings: TrainerSettings, _: argparse.Namespace) -> None:
    with without_chatter():
        from services.trainer.fitting.keras_backend import find_devices
        from services.trainer.pipeline import Trainer

        find_devices()

    trainer = Trainer(settings, stop_on_signal())
    trainer.prepare()
    sys.stdout.write(f"{trainer.train().version}\n")


def _search(settings: TrainerSettings, arguments: argparse.Namespace) -> None:
    with without_chatter():
        from services.trainer.fitting.keras_backend import find_devices
        from services.trainer.pipeline import Trainer
        from services.trainer.tuning.study import Study, StudyBudget
        from services.trainer.tuning.trial import with_environment

        find_devices()

    stop, minutes = stop_on_signal(), arguments.minutes
    each = {
        "EPOCHS": arguments.trial_epochs,
        "WINDOWS_PER_EPOCH": arguments.trial_windows,
        "PATIENCE": "2",
    }
    of_trials = with_environment(settings, each)
    search = Study(of_trials, arguments.folder, stop, with_dropout=arguments.with_dropout)
    budget = StudyBudget(
        60 * minutes, arguments.trials, 60 * (arguments.trial_minutes or minutes / 10)
    )
    reader = Trainer(of_trials, stop)
    try:
        best = search.run(budget, reader.span, reader.read)
    except StopRequested:
        return
    if arguments.train and not stop.is_set():
        trainer = Trainer(with_environment(settings, best), stop)
        trainer.prepare()
        sys.stdout.write(f"{trainer.train().version}\n")


def _export(settings: TrainerSettings, arguments: argparse.Namespace) -> None:
    with without_chatter():
        from services.trainer.fitting.keras_backend import find_devices
        from services.trainer.keras_files.exporter import export_version

        find_devices()

    export_version(settings, arguments.version, arguments.file)


def _import(settings: TrainerSettings, arguments: argparse.Namespace) -> None:
    from services.trainer.keras_files.importer import import_like, import_with_scalers

    version = (
        import_like(settings, arguments.file, arguments.like)
        if arguments.scalers is None
        else import_with_scalers(
            settings, arguments.file, arguments.scalers, time.time_ns() // 1_000_000
        )
    )
    sys.stdout.write(f"{version}\n")


def _with_flags(environ: Mapping[str, str], arguments: argparse.Namespace) -> dict[str, str]:
    """Let a flag stand for its variable."""
    given = {name: getattr(arguments, flag, None) for flag, name in _FLAGS.items()}
    return {**environ, **{name: value for name, value in given.items() if value is not None}}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.trainer", description=__doc__)
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="instead of the service")
    fit = commands.add_parser("fit", help="train once, then exit")
    for flag, name in _FLAGS.items():
        fit.add_argument(f"--{flag}", metavar=name, help=f"instead of the variable {name}")
    fit.set_defaults(run=_fit)
    _add_search(
        commands.add_parser("search", help="look for better settings, within a budget of time")
    )
    export = commands.add_parser("export", help="write a model version as a .keras file")
    export.add_argument("version")
    export.add_argument("file", type=Path)
    export.set_defaults(run=_export)
    importing = commands.add_parser("import", help="publish the weights of a .keras file")
    importing.add_argument("file", type=Path)
    card = importing.add_mutually_exclusive_group(required=True)
    card.add_argument("--like", help="the version whose card they get")
    card.add_argument(
        "--scalers",
        type=Path,
        help="a .csv or .json table of ranges: a card of it and the settings",
    )
    importing.add_argument(
        "--preset", default="original", help="instead of the variable PRESET (original)"
    )
    for flag in ("symbols", "from", "to"):
        importing.add_argument(
            f"--{flag}", metavar=_FLAGS[flag], help=f"instead of the variable {_FLAGS[flag]}"
        )
    importing.set_defaults(run=_import)
    return parser


def _add_search(search: argparse.ArgumentParser) -> None:
    for flag in ("from", "to", "symbols", "seed", "promote", "report"):
        search.add_argument(
            f"--{flag}", metavar=_FLAGS[flag], help=f"instead of the variable {_FLAGS[flag]}"
        )
    search.add_argument(
        "--folder",
        type=Path,
        default=Path(".ulstm/search"),
        help="keeps the search; it goes on from there",
    )
    search.add_argument("--minutes", type=float, default=60.0, help="the budget, over all starts")
    search.add_argument("--trials", type=int, help="at most so many")
    search.add_argument(
        "--trial-minutes", type=float, help="of one trial at most; default: a tenth of the budget"
    )
    search.add_argument("--epochs", dest="trial_epochs", default="8", help="of one trial at most")
    search.add_argument(
        "--windows", dest="trial_windows", default="100000", help="drawn for an epoch of a trial"
    )
    search.add_argument(
        "--with-dropout", action="store_true", help="try dropout too: Keras trains it, slowly"
    )
    search.add_argument("--train", action="store_true", help="train the best at the end")
    search.set_defaults(run=_search)


if __name__ == "__main__":
    sys.exit(exit_code(main))
