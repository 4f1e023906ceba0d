"""Score the original's forecasts, and show its output outside its scalers' ranges."""

import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.skill_fit import score
from services.trainer.data.scaler_table import COLUMNS
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import run_backtest, without_online_learning
from shared.core.evaluation.forecasts import HeldOutSpan, hold_out
from shared.core.model.card import Bundle
from shared.core.online.context import FoldContext
from shared.core.sequence import OPEN_TIME
from shared.core.timestamps import parse_timestamp_ms
from shared.reporting.tables import comparison_table

_CLOSE: Final = COLUMNS.index("close")
_EDGES: Final = (-inf, -8, -4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, inf)


def print_skill(
    bundle: Bundle, sequences: Mapping[str, Float64s], month: str, console: Console
) -> None:
    """Score the symbols that have a scaler: frozen and updating, with weights per symbol or one.

    Args:
        bundle: the original.
        sequences: candles (n, columns) by symbol.
        month: such as 2025-03.
        console: shows the tables.
    """
    context = FoldContext.of_this_machine("5m")
    spans = _month_spans({s: sequences[s] for s in bundle.card.scalers if s in sequences}, month)
    console.print(_levels_table(bundle, spans, context))
    table = comparison_table(
        score(bundle, spans, context, is_shared=True, with_baselines=False).comparison
    )
    table.title = f"The original (challenger), {month}; skill is against zero change"
    console.print(table)


def _month_spans(sequences: Mapping[str, Float64s], month: str) -> list[HeldOutSpan]:
    starts = (np.datetime64(month), np.datetime64(month) + 1)
    from_ms, until_ms = (parse_timestamp_ms(f"{start}-01") for start in starts)
    seen = {s: sequence[sequence[:, OPEN_TIME] < until_ms] for s, sequence in sequences.items()}
    return hold_out(seen, from_ms, sys.maxsize, len(seen))


def _levels_table(bundle: Bundle, spans: list[HeldOutSpan], context: FoldContext) -> Table:
    """Return the frozen network's outputs by the close's position on the symbol's scaler."""
    frozen, closes, forecasts = without_online_learning(bundle), [], []
    for span in spans:
        rows, scaler = run_backtest(frozen, context, span).rows, bundle.card.scalers[span.symbol]
        closes.append(rows["close"] * scaler.scale[_CLOSE] + scaler.offset[_CLOSE])
        forecasts.append(rows["predicted_change"])
    table = Table("close on the scaler", title="Frozen, raw; the scaler's range is 0 to 1")
    for column in ("forecasts", "median", "90 % of them"):
        table.add_column(column, justify="right")
    for cells in _level_cells(np.concatenate(closes), np.concatenate(forecasts)):
        table.add_row(*cells)
    return table


def _level_cells(closes: Float64s, forecasts: Float64s) -> Iterator[tuple[str, ...]]:
    for low, high in pairwise(_EDGES):
        inside = forecasts[(closes >= low) & (closes < high)]
        if len(inside):
            least, median, most = np.quantile(inside, (0.05, 0.5, 0.95))
            span = f"{least:+.2%} to {most:+.2%}"
            yield f"{low:g} to {high:g}", f"{len(inside):,}", f"{median:+.2%}", span
