"""`ulstm backtest`: the log as it would have gone, had a model version been promoted at a moment."""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import reduce
from multiprocessing import cpu_count, get_context
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from services.cli.predicting import clock
from services.cli.times import option_ms
from shared.adapters.archive import Archive, Span
from shared.adapters.registry import Registry
from shared.adapters.settings import Settings, symbols_of
from shared.core.arrays import Float64s
from shared.core.backtest import backtest
from shared.core.candle import interval_ms
from shared.core.card import Bundle
from shared.core.errors import BadSetting, Unknown
from shared.core.fold import Deployment, Model
from shared.core.network import self_test
from shared.core.scores import Scores
from shared.core.state import SEQUENCE_LENGTH

_COLUMNS: Final = (
    "symbol",
    "open_time_ms",
    "close",
    "predicted_change",
    "predicted_close",
    "model_version",
    "steps",
    "loss",
)


def backtest_command(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="The model version.")],
    symbols: Annotated[str, typer.Option(help="Comma-separated; default: all in the log.")] = "",
    start: Annotated[str, typer.Option("--from", help="When it is promoted; default: where its training ends.")] = "",
    end: Annotated[str, typer.Option("--to", help="Default: the end of the log.")] = "",
    out: Annotated[Path | None, typer.Option(help="Predictions, as .parquet or .jsonl.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Score a model version as if it had been promoted at a moment: the same fold as live."""
    settings = Settings.from_env(context.obj)
    _check_out(out)
    console = Console(stderr=True)
    bundle = Registry(settings.kafka_bootstrap_servers, settings.topics).load(model)
    step_ms = interval_ms(settings.interval)
    from_ms = option_ms(start, "--from", bundle.card.trained_through_ms + step_ms)
    through_ms = option_ms(end, "--to", Span().through_ms) - 1
    if from_ms <= bundle.card.trained_through_ms:
        console.print(
            f"[bold red]WARNING:[/bold red] {model} was trained up to {clock(bundle.card.trained_through_ms)};"
            f" this backtest starts at {clock(from_ms)}, so its scores are flattered by what the model has seen",
            soft_wrap=True,
        )
    span = Span(from_ms - SEQUENCE_LENGTH * step_ms, through_ms)
    with Progress(console=console) as progress:
        task = progress.add_task("reading the log", total=None)
        archive = Archive(settings.kafka_bootstrap_servers, settings.topics)
        archived = archive.read(span, symbols_of(symbols), progress=lambda n: progress.advance(task, n))
        work = _Work(bundle, from_ms, Deployment(settings.interval, step_ms, self_test()))
        results = _results(work, archived.sequences, progress)
        scores = _collected(results, out)
    if not scores:
        message = (
            f"no symbol has a full window of {bundle.card.architecture.window_length} candles before the span's end"
        )
        raise Unknown(message)
    _tell(scores, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Work:
    bundle: Bundle
    from_ms: int
    deployment: Deployment

    def of(self, symbol: str, sequence: Float64s) -> "_Result":
        """Fold one symbol: runs in a process of its own."""
        model = Model(self.bundle)
        rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        scores = Scores()
        for prediction in backtest(model, symbol, sequence, self.from_ms, self.deployment):
            scores = prediction.scores
            for name, values in rows.items():
                values.append(getattr(prediction, name))
        return _Result(symbol, scores, rows)


@dataclass(frozen=True, slots=True)
class _Result:
    symbol: str
    scores: Scores
    rows: Mapping[str, list[Any]]


def _results(work: _Work, sequences: Mapping[str, Float64s], progress: Progress) -> Iterator[_Result]:
    """Symbols are independent, so each core takes the next one."""
    events = sum(int(np.sum(s[:, 0] >= work.from_ms)) for s in sequences.values())
    task = progress.add_task("predicting", total=events)
    with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
        for result in pool.map(work.of, sequences.keys(), sequences.values()):
            progress.advance(task, int(np.sum(sequences[result.symbol][:, 0] >= work.from_ms)))
            yield result


def _collected(results: Iterable[_Result], out: Path | None) -> dict[str, Scores]:
    """Return the scores by symbol, writing the predictions as they come."""
    scores: dict[str, Scores] = {}
    writer: pq.ParquetWriter | None = None
    lines = out.open("w") if out is not None and out.suffix == ".jsonl" else None
    try:
        for result in results:
            if not result.rows["symbol"]:
                continue
            scores[result.symbol] = result.scores
            if lines is not None:
                lines.writelines(_lines(result.rows))
            elif out is not None:
                table = pa.table({name: _column(name, values) for name, values in result.rows.items()})
                writer = writer or pq.ParquetWriter(out, table.schema)
                writer.write_table(table)
    finally:
        if lines is not None:
            lines.close()
        if writer is not None:
            writer.close()
    return scores


def _column(name: str, values: list[Any]) -> pa.Array:
    return pa.array(values, pa.float64()) if name == "loss" else pa.array(values)


def _lines(rows: Mapping[str, list[Any]]) -> Iterator[str]:
    for values in zip(*(rows[name] for name in _COLUMNS), strict=True):
        yield json.dumps(dict(zip(_COLUMNS, values, strict=True))) + "\n"


def _check_out(out: Path | None) -> None:
    if out is not None and out.suffix not in {".parquet", ".jsonl"}:
        message = f"--out is {out}; its name must end with .parquet or .jsonl"
        raise BadSetting(message)


def _tell(scores: Mapping[str, Scores], *, as_json: bool) -> None:
    if as_json:
        rows = {symbol: asdict(s) | {"skill": s.skill()} for symbol, s in scores.items()}
        print(json.dumps(rows, sort_keys=True))
        return
    table = Table(title="backtest: squared error against zero change")
    for column in ("symbol", "outcomes", "skill", "absolute error / zero change", "sign hits"):
        table.add_column(column, justify="left" if column == "symbol" else "right")
    for symbol, one in [*sorted(scores.items()), ("all, pooled", reduce(Scores.plus, scores.values()))]:
        skill = one.skill()
        table.add_row(
            symbol,
            str(one.n),
            "" if skill is None else f"{skill:+.3%}",
            f"{one.absolute_error / one.absolute_error_zero:.4f}" if one.absolute_error_zero else "",
            f"{one.sign_hits / one.moves:.2%}" if one.moves else "",
        )
    Console().print(table)
