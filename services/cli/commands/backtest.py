"""`ulstm backtest`: score a model version as if it had been promoted at a moment."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress

from services.cli.backtest.forecast_file import check_forecasts, read_forecasts
from services.cli.backtest.output import check_out, write_predictions
from services.cli.backtest.report import MAX_HISTORY, BacktestReport, check_report, forecast_spans
from services.cli.backtest.results import build_results, parse_costs
from services.cli.cli_options import parse_time_option_ms
from services.cli.completion import complete_symbols, complete_version
from services.cli.examples import examples
from services.cli.terminal import PlainConsole, print_json, print_warning
from services.cli.topic_checks import open_deployment
from shared.adapters.env_settings import ServiceSettings
from shared.adapters.schemas.baskets import card_baskets
from shared.core.arrays import Float64s
from shared.core.errors import Unknown
from shared.core.evaluation.backtest import SymbolBacktest
from shared.core.evaluation.comparison import CHALLENGER
from shared.core.evaluation.contenders import Contenders, SymbolForecasts
from shared.core.evaluation.forecasts import learning_before, split_at
from shared.core.evaluation.report import ModelReport
from shared.core.features.registry import feature_set
from shared.core.market_table import with_market
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.online.scores import Scores
from shared.core.online.start import START_CANDLES
from shared.core.symbols import parse_symbols
from shared.core.timestamps import format_timestamp
from shared.core.topics import interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.model_registry import ModelRegistry

EXAMPLES: Final = examples(
    "ulstm backtest --model 20250131T2355-9f2c41d7",
    "ulstm backtest --model 20250131T2355-9f2c41d7 --from 2025-01-01 --report report.html",
)


def backtest_command(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="The model version.", autocompletion=complete_version)],
    symbols: Annotated[
        str,
        typer.Option(
            help="Comma-separated; default: all in the log.", autocompletion=complete_symbols
        ),
    ] = "",
    start: Annotated[
        str,
        typer.Option("--from", help="When to promote it; default: the end of its training span."),
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Default: the end of the log.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the predictions to this .parquet or .jsonl file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a comparison with other forecasts, as .html.")
    ] = None,
    against: Annotated[
        str,
        typer.Option(
            help="A model version to compare it with in the report.",
            autocompletion=complete_version,
        ),
    ] = "",
    forecasts_file: Annotated[
        Path | None,
        typer.Option(
            "--forecasts",
            help="Score these forecasts on the same candles: .csv, .parquet or .jsonl with symbol,"
            " open_time_ms (of the candle that is forecast) and change (a fraction).",
        ),
    ] = None,
    costs_bp: Annotated[
        str, typer.Option(help="Costs of a change of position in basis points, comma-separated.")
    ] = "0,2,10",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Score a model version as if it had been promoted at a moment: the same fold as live."""
    _check_files(out, report, against, forecasts_file)
    costs = parse_costs(costs_bp)
    settings = open_deployment(context.obj, "klines", "models")
    bundles = ModelRegistry(settings.kafka, settings.topics).bundles
    bundle, champion = bundles.load(model), bundles.load(against) if against else None
    fold_context = FoldContext.of_this_machine(settings.interval)
    outside = read_forecasts(forecasts_file, fold_context.interval_ms)
    default_ms = bundle.card.trained_through_ms + fold_context.interval_ms
    from_ms = parse_time_option_ms(start, "--from", default_ms)
    through_ms = parse_time_option_ms(end, "--to", TimeSpan().through_ms) - 1
    run = BacktestReport(bundle, champion, from_ms, fold_context, costs)
    console = PlainConsole(stderr=True)
    _warn_of_overlap(bundle, from_ms, console)
    history = START_CANDLES if report is None else MAX_HISTORY
    span = TimeSpan(from_ms - history * fold_context.interval_ms, through_ms)
    with Progress(console=console) as progress:
        sequences = _read_archive(settings, bundle, span, symbols, progress)
        spans = learning_before(split_at(sequences, from_ms), START_CANDLES)
        alone = Contenders({CHALLENGER: bundle}, fold_context)
        contenders, forecasts = alone if report is None else run.contenders, list[SymbolForecasts]()
        results = forecast_spans(contenders, spans, "predicting", progress)
        scores = write_predictions(_keep_forecasts(results, forecasts), bundle.version, out)
        _check_scored(scores, bundle)
        found = build_results(scores, contenders, forecasts, costs, outside)
        if report is not None:
            _write_report(run.build(forecasts, sequences, progress), report)
    if as_json:
        print_json(found.to_fields(), sort_keys=True)
    else:
        found.print(PlainConsole())


def _check_files(
    out: Path | None, report: Path | None, against: str, forecasts_file: Path | None
) -> None:
    """Check the names of all files before any work is done.

    Raises:
        BadSetting: one cannot be read or written, or has an unknown format.
    """
    check_out(out)
    check_report(report, against)
    check_forecasts(forecasts_file)


def _read_archive(
    settings: ServiceSettings, bundle: Bundle, span: TimeSpan, symbols: str, progress: Progress
) -> Mapping[str, Float64s]:
    """Read the candles (n, columns) of the wanted symbols and show the progress.

    Moves of the market that the log lacks, or has of other baskets than the model's, are recomputed
    from all symbols of the log, as for its training.
    """
    task = progress.add_task("reading the log", total=None)
    archive = Archive(settings.kafka, settings.topics)
    wanted = parse_symbols(symbols, "--symbols")
    needs_market = feature_set(bundle.card.feature_set).needs_market
    archived = archive.read(
        span,
        () if needs_market else wanted,
        progress=lambda n: progress.advance(task, n),
    )
    _check_known(wanted, archived.sequences)
    if not needs_market or not archived.sequences:
        return archived.sequences
    baskets, step_ms = card_baskets(bundle.card), interval_ms(settings.interval)
    filled = with_market(archived.sequences, wanted, baskets, step_ms)
    if share := filled.recomputed_share():
        progress.console.print(
            f"{100 * share:.0f} % of the market's moves are recomputed: the log lacks them, or has"
            " those of other baskets"
        )
    return filled


def _check_known(wanted: Sequence[str], sequences: Collection[str]) -> None:
    missing = [symbol for symbol in wanted if symbol not in sequences]
    if missing:
        raise Unknown(
            f"--symbols: the log has no candles of {', '.join(missing)} in this span;"
            " `ulstm symbols list` shows who is followed"
        )


def _warn_of_overlap(bundle: Bundle, from_ms: int, console: Console) -> None:
    trained_through_ms = bundle.card.trained_through_ms
    if from_ms <= trained_through_ms:
        print_warning(
            console,
            f"{bundle.version} was trained through {format_timestamp(trained_through_ms)}, but this"
            f" backtest starts at {format_timestamp(from_ms)}: the model has seen these candles,"
            " which flatters its scores",
        )


def _keep_forecasts(
    results: Generator[SymbolForecasts, None, None], kept: list[SymbolForecasts]
) -> Generator[SymbolBacktest, None, None]:
    """Yield the model's backtests, and keep all forecasts."""
    with closing(results):
        for one in results:
            kept.append(one)
            yield one.backtests[CHALLENGER]


def _check_scored(scores: Mapping[str, Scores], bundle: Bundle) -> None:
    if not scores:
        length = bundle.card.architecture.window_length
        raise Unknown(f"no symbol has a full window of {length} candles before the end of the span")


def _write_report(report: ModelReport, path: Path) -> None:
    # Imported here: no other command needs the charting library, which takes long to load.
    from shared.reporting.html_report import render_report

    path.write_text(render_report(report), encoding="utf-8")
