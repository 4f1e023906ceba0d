"""The trainer as a process: `python -m services.trainer [COMMAND]`; see `--help`."""

import argparse
import os
import sys
import threading
import time
from pathlib import Path

from services.trainer.settings import SearchSettings, TrainerSettings
from shared.adapters.kafka.contact import KafkaContact
from shared.adapters.logs import start_logging
from shared.adapters.process import exit_code, stop_on_signal
from shared.adapters.prometheus import Telemetry

# Each command imports what it needs: TensorFlow takes seconds, and `import` runs without it.


def main() -> None:
    """Run a command with the settings of the environment; without one, train on schedule."""
    arguments = _parser().parse_args()
    settings = TrainerSettings.from_env(os.environ)
    # At level 0 TensorFlow logs the CPU it finds.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    start_logging(settings.log_level, "trainer", settings.log_format)
    arguments.run(settings, arguments)


def _serve(settings: TrainerSettings, _: argparse.Namespace) -> None:
    from services.trainer.metrics import TrainerMetrics

    telemetry = Telemetry("trainer")
    metrics = TrainerMetrics(telemetry)
    stop_serving = telemetry.serve(settings.metrics_host, settings.metrics_port)
    try:
        from services.trainer.scheduler import train_until_stopped

        stop = stop_on_signal(telemetry.note_turn)
        with KafkaContact(settings.kafka, settings.topics.klines) as contact:
            telemetry.add_check(contact.problem)
            train_until_stopped(settings, stop, metrics)
    finally:
        stop_serving()


def _fit(settings: TrainerSettings, _: argparse.Namespace) -> None:
    _train(settings, stop_on_signal())


def _search(settings: TrainerSettings, _: argparse.Namespace) -> None:
    from services.trainer.tuning.study import run_study
    from services.trainer.tuning.study_record import with_environment

    search, stop = SearchSettings.from_env(os.environ), stop_on_signal()
    best = run_study(settings, search, stop)
    if search.train and not stop.is_set():
        _train(with_environment(settings, best), stop)


def _baskets(settings: TrainerSettings, _: argparse.Namespace) -> None:
    from services.trainer.data.archive_source import ArchiveSource

    baskets = ArchiveSource(settings, stop_on_signal()).publish_baskets()
    sys.stdout.write(f"{baskets.version}\n")


def _export(settings: TrainerSettings, arguments: argparse.Namespace) -> None:
    from services.trainer.keras_files.transfer import export_live_weights, export_version

    if arguments.symbol is None:
        export_version(settings, arguments.version, arguments.file)
    else:
        sys.stdout.write(f"{export_live_weights(settings, arguments.symbol, arguments.file)}\n")


def _import(settings: TrainerSettings, arguments: argparse.Namespace) -> None:
    from services.trainer.keras_files.transfer import import_with_card, import_with_scalers

    now_ms = time.time_ns() // 1_000_000
    version = (
        import_with_card(settings, arguments.file, arguments.like)
        if arguments.scalers is None
        else import_with_scalers(settings, arguments.file, arguments.scalers, now_ms)
    )
    sys.stdout.write(f"{version}\n")


def _train(settings: TrainerSettings, stop: threading.Event) -> None:
    from services.trainer.pipeline import Trainer

    trainer = Trainer(settings, stop)
    trainer.prepare()
    sys.stdout.write(f"{trainer.train().version}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.trainer",
        description="Train models. All settings are environment variables (settings.py).",
    )
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(title="commands")
    commands.add_parser("serve", help="train on schedule and on drift (the default)")
    commands.add_parser("fit", help="train once, then exit").set_defaults(run=_fit)
    baskets = commands.add_parser("baskets", help="make baskets and put them in force")
    baskets.set_defaults(run=_baskets)
    search = commands.add_parser("search", help="search better settings, within a time budget")
    search.set_defaults(run=_search)
    export = commands.add_parser("export", help="write a network as a .keras file")
    export.add_argument("file", type=Path)
    network = export.add_mutually_exclusive_group(required=True)
    network.add_argument("--version", help="as a version has it")
    network.add_argument("--symbol", help="as a symbol has it at the end of the log")
    export.set_defaults(run=_export)
    importing = commands.add_parser("import", help="publish the weights of a .keras file")
    importing.add_argument("file", type=Path)
    card = importing.add_mutually_exclusive_group(required=True)
    card.add_argument("--like", help="the version whose card the weights get")
    card.add_argument(
        "--scalers", type=Path, help="a .csv or .json table of ranges: a card of it and settings"
    )
    importing.set_defaults(run=_import)
    return parser


if __name__ == "__main__":
    sys.exit(exit_code(main))
