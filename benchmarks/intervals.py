"""Score intervals on recorded klines without a network: the worth of the range alone.

    python -m benchmarks.intervals --klines FOLDER --train-to 2025-04-01 --score-from 2025-04-01

Their settings are fitted to the candles before --train-to. They fold all candles from the first on,
around no change, and are scored from --score-from to the end, or to --score-to.
"""

import argparse
import json
from functools import partial
from multiprocessing import cpu_count
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.recorded_market import read_folders
from services.trainer.interval_fit import fit_intervals
from shared.adapters.worker_pool import run_in_workers
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import PREDICTION_ROW, SymbolBacktest
from shared.core.evaluation.interval_summary import (
    CONSTANT,
    EXPONENTIAL,
    IntervalSummary,
    summarise_intervals,
)
from shared.core.model.interval_settings import IntervalSettings
from shared.core.online.interval_scores import COVERAGES
from shared.core.online.intervals import start_intervals, step_intervals
from shared.core.online.scores import Scores
from shared.core.sequence import CLOSE, OPEN_TIME, count_before
from shared.core.timestamps import parse_timestamp_ms
from shared.core.topics import interval_ms
from shared.reporting.tables import intervals_table

_LOSSES: Final = ("pinball_loss", "pinball_loss_constant", "pinball_loss_exponential")


def main() -> None:
    """Fit, score and print."""
    options, console = _parse_options(), Console()
    step_ms = interval_ms(options.interval)
    sequences = {
        symbol: sequence[: count_before(sequence, options.score_to)]
        for symbol, sequence in read_folders(options.klines, step_ms).items()
    }
    training = {s: one[: count_before(one, options.train_to)] for s, one in sequences.items()}
    settings = fit_intervals(training, step_ms)
    console.print(f"fitted to {len(training)} symbols: {settings}", soft_wrap=True)
    score = partial(score_symbol, settings, step_ms, options.score_from)
    calls = [partial(score, symbol, sequence) for symbol, sequence in sequences.items()]
    summary = summarise_intervals(run_in_workers(cpu_count(), calls, lambda _: None))
    if summary is None:
        console.print("no candle opens in the span to score")
        return
    console.print(intervals_table(summary))
    console.print(symbols_table(summary))
    if options.json is not None:
        options.json.write_text(json.dumps(summary.to_fields(), sort_keys=True), encoding="utf-8")


def score_symbol(
    settings: IntervalSettings, step_ms: int, from_ms: int, symbol: str, sequence: Float64s
) -> SymbolBacktest:
    """Fold a symbol's candles (n, columns); score the intervals of those that open at a time on."""
    state, first = start_intervals(settings), count_before(sequence, from_ms)
    rows = np.zeros(len(sequence) - first + 1, PREDICTION_ROW)
    rows["open_time_ms"][:-1] = sequence[first:, OPEN_TIME]
    for index, candle in enumerate(sequence[:, : CLOSE + 1].tolist()):
        state = step_intervals(state, candle, settings, step_ms, is_scored=index >= first)
        if index >= first:
            for name in _LOSSES:
                rows[name][index - first + 1] = getattr(state.scores, name)
    return SymbolBacktest(symbol, rows, Scores(), state.scores)


def symbols_table(summary: IntervalSummary) -> Table:
    """Return the coverage and the losses of each symbol, the least gain first."""
    table = Table(title="By symbol")
    table.add_column("symbol")
    levels = [f"{coverage} %" for coverage in COVERAGES]
    for column in (*levels, f"below {CONSTANT}", f"below {EXPONENTIAL}"):
        table.add_column(column, justify="right")
    for one in sorted(summary.symbols, key=lambda one: one.less_than[CONSTANT]):
        shares = [f"{share:.2%}" for share in one.coverage]
        losses = [f"{one.less_than[name]:+.2%}" for name in (CONSTANT, EXPONENTIAL)]
        table.add_row(one.symbol, *shares, *losses)
    return table


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.intervals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--klines", type=Path, required=True, nargs="+", metavar="FOLDER", help="recorded klines")
    add("--interval", default="5m", help="of the recordings to take (5m)")
    add("--train-to", type=parse_timestamp_ms, required=True, metavar="TIME", help="exclusive")
    add("--score-from", type=parse_timestamp_ms, required=True, metavar="TIME", help="inclusive")
    end = "exclusive (the end)"
    add("--score-to", type=parse_timestamp_ms, default=1 << 52, metavar="TIME", help=end)
    add("--json", type=Path, metavar="FILE", help="write the results there as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
