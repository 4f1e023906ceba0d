"""`ulstm export`: predictions and candles as a table, for pandas and others."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from services.cli.cli_options import AsJson, parse_time_option_ms
from services.cli.completion import complete_symbols
from services.cli.examples import examples
from services.cli.export.candle_export import CandleExport
from services.cli.export.figures import ExportFigures
from services.cli.export.prediction_export import PredictionExport
from services.cli.export.run import Export, run_export
from services.cli.export.selection import Selection
from services.cli.export.table_file import check_out
from services.cli.terminal import (
    PlainConsole,
    print_json,
    print_message,
    print_unreadable,
    print_warning,
)
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.core.errors import BadSetting
from shared.core.symbols import parse_symbols
from shared.core.timestamps import format_timestamp
from shared.log.archive import TimeSpan

app = typer.Typer(no_args_is_help=True)

Out: TypeAlias = Annotated[
    Path, typer.Option("--out", help="The file to write; its name ends with .parquet or .csv.")
]
From: TypeAlias = Annotated[
    str, typer.Option("--from", help="Open times from here on, such as 2025-04-01; default: all.")
]
To: TypeAlias = Annotated[str, typer.Option("--to", help="... and before here.")]
Symbols: TypeAlias = Annotated[
    str,
    typer.Option(
        "--symbols",
        help="Only these, comma-separated; default: all.",
        autocompletion=complete_symbols,
    ),
]


@app.command(
    "predictions",
    epilog=examples(
        "ulstm export predictions --out predictions.parquet",
        "ulstm export predictions --from 2025-04-01 --to 2025-05-01 --out april.csv",
    ),
)
def predictions_command(
    context: typer.Context,
    out: Out,
    start: From = "",
    end: To = "",
    symbols: Symbols = "",
    as_json: AsJson = False,
) -> None:
    """Export predictions, each with the close that came: one row a prediction."""
    selection = _select(out, start, end, symbols)
    _export(context, "predictions", PredictionExport, selection, out, as_json)


@app.command(
    "candles",
    epilog=examples("ulstm export candles --symbols BTCUSDT,ETHUSDT --out candles.parquet"),
)
def candles_command(
    context: typer.Context,
    out: Out,
    start: From = "",
    end: To = "",
    symbols: Symbols = "",
    as_json: AsJson = False,
) -> None:
    """Export candles with their last values, those that were corrected marked."""
    selection = _select(out, start, end, symbols)
    _export(context, "klines", CandleExport, selection, out, as_json)


def _select(out: Path, start: str, end: str, symbols: str) -> Selection:
    """Validate the options and return the selection of rows.

    Raises:
        BadSetting: an option is refused.
    """
    check_out(out)
    from_ms = parse_time_option_ms(start, "--from", TimeSpan().from_ms)
    to_ms = parse_time_option_ms(end, "--to", TimeSpan().through_ms)
    if from_ms >= to_ms:
        raise BadSetting(f"--from {start} is not before --to {end}: no candle opens in between")
    return Selection(range(from_ms, to_ms), frozenset(parse_symbols(symbols, "--symbols")))


def _export(
    context: typer.Context,
    topic: str,
    create: Callable[[ServiceSettings], Export],
    selection: Selection,
    out: Path,
    as_json: bool,
) -> None:
    """Export the rows of a topic, and report the figures."""
    settings = open_deployment(context.obj, topic)
    figures = run_export(create(settings), settings, selection, out)
    _report(figures, selection, out, as_json)


def _report(figures: ExportFigures, selection: Selection, out: Path, as_json: bool) -> None:
    """Report the rows written and the rows skipped."""
    console = PlainConsole(stderr=True)
    print_unreadable(console, figures.unreadable)
    missing = sorted(selection.symbols - figures.symbols)
    if missing:
        print_warning(console, f"no row in this span of {', '.join(missing)}")
    if as_json:
        print_json({"file": str(out), **figures.to_json()})
        return
    first, last = (format_timestamp(ms or 0) for ms in (figures.first_ms, figures.last_ms))
    refused = f", {figures.out_of_order:,} out of order left out" if figures.out_of_order else ""
    print_message(
        f"{out}: {figures.rows:,} rows of {len(figures.symbols):,} symbols, open times {first} to"
        f" {last} UTC{refused}"
    )
