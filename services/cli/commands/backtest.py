"""`ulstm backtest`: the log as it would have gone, had a model version been promoted at a moment."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import reduce
from math import isnan
from pathlib import Path
from typing import Annotated, Final

import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.cli.backtest_report import PAST, check_report, each, report_of
from services.cli.backtest_worker import ROW, Scoring, SymbolScore
from services.cli.cli_options import parse_time_option_ms
from shared.adapters.env_settings import ServiceSettings, parse_symbols
from shared.core.errors import BadSetting, Unknown
from shared.core.evaluation.comparison import ForecastSeries
from shared.core.model.numeric_profile import self_test
from shared.core.online.context import FoldContext
from shared.core.online.scores import Scores
from shared.core.sequence import SEQUENCE_LENGTH
from shared.core.timestamps import format_timestamp
from shared.core.topics import interval_ms
from shared.log.archive import Archive, TimeSpan
from shared.log.model_registry import ModelRegistry
from shared.reporting.html_report import page

_SCHEMA: Final = pa.schema(
    [
        ("symbol", pa.string()),
        ("open_time_ms", pa.int64()),
        ("close", pa.float64()),
        ("predicted_change", pa.float64()),
        ("predicted_close", pa.float64()),
        ("calibrated_change", pa.float64()),
        ("calibrated_close", pa.float64()),
        ("actionable", pa.bool_()),
        ("model_version", pa.string()),
        ("steps", pa.int64()),
        ("loss", pa.float64()),
    ]
)


def backtest_command(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="The model version.")],
    symbols: Annotated[str, typer.Option(help="Comma-separated; default: all in the log.")] = "",
    start: Annotated[
        str, typer.Option("--from", help="When it is promoted; default: where its training ends.")
    ] = "",
    end: Annotated[str, typer.Option("--to", help="Default: the end of the log.")] = "",
    out: Annotated[Path | None, typer.Option(help="Predictions, as .parquet or .jsonl.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write what it is compared with to this .html file.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="A model version that the report compares it with.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score a model version as if it had been promoted at a moment: the same fold as live."""
    settings = ServiceSettings.from_env(context.obj)
    _check_out(out)
    check_report(report, against)
    console = Console(stderr=True)
    registry = ModelRegistry(settings.kafka_bootstrap_servers, settings.topics)
    bundle, champion = (
        registry.bundles.load(model),
        registry.bundles.load(against) if against else None,
    )
    step_ms = interval_ms(settings.interval)
    from_ms = parse_time_option_ms(start, "--from", bundle.card.trained_through_ms + step_ms)
    through_ms = parse_time_option_ms(end, "--to", TimeSpan().through_ms) - 1
    if from_ms <= bundle.card.trained_through_ms:
        console.print(
            f"[bold red]WARNING:[/bold red] {model} was trained up to {format_timestamp(bundle.card.trained_through_ms)};"
            f" this backtest starts at {format_timestamp(from_ms)}, so its scores are flattered by what the model has seen",
            soft_wrap=True,
        )
    past = SEQUENCE_LENGTH if report is None else PAST + SEQUENCE_LENGTH
    span = TimeSpan(from_ms - past * step_ms, through_ms)
    with Progress(console=console) as progress:
        task = progress.add_task("reading the log", total=None)
        archive = Archive(settings.kafka_bootstrap_servers, settings.topics)
        archived = archive.read(
            span, parse_symbols(symbols), progress=lambda n: progress.advance(task, n)
        )
        scoring = Scoring(bundle, from_ms, FoldContext(settings.interval, step_ms, self_test()))
        tracks: dict[str, ForecastSeries] = {}
        results = each(scoring, archived.sequences, "predicting", progress)
        kept = results if report is None else _kept(results, tracks, step_ms)
        scores = _collected(kept, bundle.version, out)
    if not scores:
        message = f"no symbol has a full window of {bundle.card.architecture.window_length} candles before the span's end"
        raise Unknown(message)
    _tell(scores, as_json=as_json)
    if report is not None:
        with Progress(console=console) as progress:
            told = report_of(scoring, tracks, champion, archived.sequences, progress)
        report.write_text(page(told), encoding="utf-8")


def _kept(
    results: Generator[SymbolScore, None, None], tracks: dict[str, ForecastSeries], step_ms: int
) -> Generator[SymbolScore, None, None]:
    """Pass the results on, keeping their tracks."""
    with closing(results):
        for result in results:
            tracks[result.symbol] = result.track(step_ms)
            yield result


def _collected(
    results: Generator[SymbolScore, None, None], version: str, out: Path | None
) -> dict[str, Scores]:
    """Return the scores by symbol, writing the predictions as they come."""
    scores: dict[str, Scores] = {}
    with ExitStack() as stack:
        write = _writing(out, version, stack)
        for result in stack.enter_context(closing(results)):
            if len(result.rows):
                scores[result.symbol] = result.scores
                write(result)
    return scores


def _writing(out: Path | None, version: str, stack: ExitStack) -> Callable[[SymbolScore], None]:
    """Return what writes a symbol's predictions; the stack closes the file."""
    if out is None:
        return lambda _: None
    if out.suffix == ".jsonl":
        lines = stack.enter_context(out.open("w"))
        return lambda result: lines.writelines(_lines(result, version))
    table = stack.enter_context(pq.ParquetWriter(out, _SCHEMA))
    return lambda result: table.write_table(_table(result, version))


def _lines(result: SymbolScore, version: str) -> Iterator[str]:
    for values in result.rows.tolist():
        row = dict(zip(ROW.names or (), values, strict=True))
        row |= {"symbol": result.symbol, "model_version": version}
        row["loss"] = None if isnan(row["loss"]) else row["loss"]
        yield json.dumps({name: row[name] for name in _SCHEMA.names}) + "\n"


def _table(result: SymbolScore, version: str) -> pa.Table:
    names = {
        "symbol": [result.symbol] * len(result.rows),
        "model_version": [version] * len(result.rows),
    }
    columns = {name: pa.array(result.rows[name], from_pandas=True) for name in ROW.names or ()}
    return pa.table({**names, **columns}, schema=_SCHEMA)


def _check_out(out: Path | None) -> None:
    if out is not None and out.suffix not in {".parquet", ".jsonl"}:
        message = f"--out is {out}; its name must end with .parquet or .jsonl"
        raise BadSetting(message)


def _tell(scores: Mapping[str, Scores], *, as_json: bool) -> None:
    if as_json:
        rows = {
            symbol: asdict(s) | {"skill": s.skill(), "calibrated_skill": s.calibrated_skill()}
            for symbol, s in scores.items()
        }
        print(json.dumps(rows, sort_keys=True))
        return
    table = Table(title="backtest: squared error against zero change")
    for column in (
        "symbol",
        "outcomes",
        "skill",
        "calibrated",
        "absolute error / zero change",
        "sign hits",
    ):
        table.add_column(column, justify="left" if column == "symbol" else "right")
    for symbol, one in [
        *sorted(scores.items()),
        ("all, pooled", reduce(Scores.plus, scores.values())),
    ]:
        skill, calibrated = one.skill(), one.calibrated_skill()
        table.add_row(
            symbol,
            str(one.n),
            "" if skill is None else f"{skill:+.3%}",
            "" if calibrated is None else f"{calibrated:+.3%}",
            f"{one.absolute_error / one.absolute_error_zero:.4f}"
            if one.absolute_error_zero
            else "",
            f"{one.sign_hits / one.moves:.2%}" if one.moves else "",
        )
    Console().print(table)
