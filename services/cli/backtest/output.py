"""Write a backtest's predictions to a file, and its scores to the terminal."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from shared.core.errors import BadSetting
from shared.core.evaluation.backtest import BOUNDS, SymbolBacktest
from shared.core.online.scores import Scores

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
        *((name, pa.float64()) for name in BOUNDS),
    ]
)


def check_out(out: Path | None) -> None:
    """Check the name of the file of predictions.

    Raises:
        BadSetting: its format is unknown.
    """
    if out is not None and out.suffix not in {".parquet", ".jsonl"}:
        raise BadSetting(f"--out is {out}; its name must end with .parquet or .jsonl")


def write_predictions(
    backtests: Generator[SymbolBacktest, None, None], version: str, out: Path | None
) -> dict[str, Scores]:
    """Write predictions as they arrive, and return the scores by symbol.

    Args:
        backtests: closed at the end, and on an error.
        version: the model version.
        out: a .parquet or .jsonl file; None writes none.
    """
    scores: dict[str, Scores] = {}
    with ExitStack() as stack:
        write = _open_writer(out, version, stack)
        for one in stack.enter_context(closing(backtests)):
            if len(one.rows):
                scores[one.symbol] = one.scores
                write(one)
    return scores


def scores_to_fields(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Return the scores by symbol as plain values."""
    return {
        symbol: asdict(one) | {"skill": one.skill(), "calibrated_skill": one.calibrated_skill()}
        for symbol, one in scores.items()
    }


def scores_table(scores: Mapping[str, Scores]) -> Table:
    """Return the scores by symbol and pooled as a table."""
    table = Table(title="backtest: squared error against zero change")
    table.add_column("symbol")
    error = "absolute error / zero change"
    for column in ("outcomes", "skill", "calibrated", error, "sign hits"):
        table.add_column(column, justify="right")
    pooled = ("all, pooled", reduce(Scores.plus, scores.values()))
    for symbol, one in [*sorted(scores.items()), pooled]:
        table.add_row(symbol, *_cells(one))
    return table


def _open_writer(
    out: Path | None, version: str, stack: ExitStack
) -> Callable[[SymbolBacktest], None]:
    """Open the file and return the function that appends a symbol's predictions."""
    if out is None:
        return lambda _: None
    if out.suffix == ".jsonl":
        lines = stack.enter_context(out.open("w", encoding="utf-8"))
        return lambda one: lines.writelines(
            json.dumps(row) + "\n" for row in _table(one, version).to_pylist()
        )
    table = stack.enter_context(pq.ParquetWriter(out, _SCHEMA))
    return lambda one: table.write_table(_table(one, version))


def _table(one: SymbolBacktest, version: str) -> pa.Table:
    """Return a symbol's predictions; a loss that is NaN is null."""
    count = len(one.rows)
    labels = {"symbol": [one.symbol] * count, "model_version": [version] * count}
    names = [name for name in _SCHEMA.names if name not in labels]
    columns = {name: pa.array(one.rows[name], from_pandas=True) for name in names}
    return pa.table({**labels, **columns}, schema=_SCHEMA)


def _cells(one: Scores) -> tuple[str, ...]:
    skills = (one.skill(), one.calibrated_skill())
    absolute, zero = one.absolute_error, one.absolute_error_zero
    return (
        str(one.n),
        *("" if skill is None else f"{skill:+.3%}" for skill in skills),
        f"{absolute / zero:.4f}" if zero else "",
        f"{one.sign_hits / one.moves:.2%}" if one.moves else "",
    )
