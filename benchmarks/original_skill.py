"""What the original's forecasts are worth, and what it says far outside its scalers' ranges."""

import sys
from collections.abc import Iterator, Mapping
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
from shared.core.model.scaler import Scaler
from shared.core.online.context import FoldContext
from shared.core.sequence import CLOSE, OPEN_TIME
from shared.core.timestamps import parse_timestamp_ms
from shared.reporting.tables import comparison_table

_CLOSE: Final = COLUMNS.index("close")


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
    console.print(_sizes_table(bundle, spans, context))
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


def _sizes_table(bundle: Bundle, spans: list[HeldOutSpan], context: FoldContext) -> Table:
    """Return where the closes lie on the scalers, and how large the frozen forecasts are there."""
    table = Table("symbol", title="Closes on the scaler (its range is 0 to 1), sizes of changes")
    for column in ("closes", "inside the range", "outcomes", "forecasts inside", "outside"):
        table.add_column(column, justify="right")
    frozen = without_online_learning(bundle)
    for span in spans:
        forecasts = run_backtest(frozen, context, span).rows["predicted_change"]
        table.add_row(span.symbol, *_size_cells(bundle.card.scalers[span.symbol], span, forecasts))
    table.caption = "sizes are medians; the forecasts are those of the frozen network"
    return table


def _size_cells(scaler: Scaler, span: HeldOutSpan, forecasts: Float64s) -> Iterator[str]:
    closes = span.candles[:, CLOSE]
    scaled = closes * scaler.scale[_CLOSE] + scaler.offset[_CLOSE]
    is_inside = (scaled >= 0.0) & (scaled <= 1.0)
    yield f"{scaled.min():.1f} to {scaled.max():.1f}"
    yield f"{is_inside.mean():.0%}"
    for changes in (np.diff(closes) / closes[:-1], forecasts[is_inside], forecasts[~is_inside]):
        yield f"{np.median(np.abs(changes)):.3%}" if len(changes) else ""
