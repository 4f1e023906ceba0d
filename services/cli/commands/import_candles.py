"""`ulstm import`: write recorded candles to the log, exactly once."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress

from services.cli.candle_import.file_selection import SetAsideRows
from services.cli.candle_import.importer import ImportSummary
from services.cli.candle_import.pipeline import ImportOptions, import_recordings
from services.cli.cli_options import AsJson
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json, print_text, print_warning
from services.cli.topic_checks import open_deployment
from shared.adapters.candle_files import find_recordings
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.recording import SkippedFile
from shared.core.errors import BadInput

EXAMPLES: Final = examples(
    "ulstm import candles", "ulstm import BTCUSDT-5m-2025-01.zip --amend --json"
)


def import_command(
    context: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(help="Folders or files: CSV, gzip, ZIP or Parquet.")
    ],
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Exit with 0 although files are left out, those given by name too.",
        ),
    ] = False,
    amend: Annotated[
        bool,
        typer.Option("--amend", help="Amend candles whose values in the log are other ones."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import recorded candles. Stop the producer first. An interrupted import can be run again.

    Exit code 1: files were left out, or nothing could be imported.
    """
    settings, console = ServiceSettings.from_env(context.obj), PlainConsole(stderr=True)
    started = time.monotonic()
    skipped: list[SkippedFile] = []
    recordings = find_recordings(paths, skipped.append, skip_given=skip_unreadable)
    if recordings:
        open_deployment(context.obj)
    required = () if skip_unreadable else {path for path in paths if path.is_file()}
    with Progress(console=console) as progress:
        reading = progress.add_task("reading the files", total=len(recordings))
        writing = progress.add_task("records written", total=None)
        summary, selection = import_recordings(
            settings,
            recordings,
            ImportOptions(
                required,
                amend,
                lambda _: progress.advance(reading),
                lambda count: progress.advance(writing, count),
            ),
        )
    left_out = sorted([*skipped, *selection.left_out], key=lambda each: each.path)
    for file in left_out:
        print_warning(console, f"left out: {file.message}")
    for rows in selection.set_aside:
        print_warning(console, f"rows set aside: {rows.message}")
    if as_json:
        print_json(_to_json(summary, left_out, selection.set_aside))
    else:
        print_text(_to_text(summary, len(left_out), time.monotonic() - started))
    if not selection.files:
        raise BadInput("no_file", _nothing_found(paths, len(left_out)))
    if left_out and not skip_unreadable:
        raise typer.Exit(1)


def _to_text(summary: ImportSummary, left_out: int, seconds: float) -> str:
    counts = (
        f"imported {summary.candles} candles and {summary.gaps} gaps of {len(summary.symbols)}"
        f" symbols in {seconds:.0f} s; {summary.already_there} candles were in the log already"
    )
    corrections = f"; filled {summary.fills} candles of gaps" if summary.fills else ""
    if summary.amendments:
        corrections += f"; amended {summary.amendments} candles"
    return counts + corrections + (f"; files left out: {left_out}" if left_out else "")


def _to_json(
    summary: ImportSummary, left_out: Sequence[SkippedFile], set_aside: Sequence[SetAsideRows]
) -> Mapping[str, Any]:
    return {
        **asdict(summary),
        "symbols": len(summary.symbols),
        "left_out": [{**asdict(file), "path": str(file.path)} for file in left_out],
        "set_aside": [{**asdict(rows), "path": str(rows.path)} for rows in set_aside],
    }


def _nothing_found(paths: Sequence[Path], left_out: int) -> str:
    names = ", ".join(map(str, paths[:3]))
    if left_out:
        return f"nothing of {names} can be imported; files left out: {left_out}"
    return f"{names}: no recordings (.csv, .csv.gz, .zip or .parquet)"
