"""Which symbols a backtest calls actionable, and what their flagged forecasts were worth."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from shared.core.evaluation.backtest import SymbolBacktest


@dataclass(frozen=True, slots=True)
class ActionableSummary:
    """Symbols by whether they were actionable, over the predictions of a backtest."""

    symbols: int
    ever: int  # actionable at any of their predictions
    at_end: int
    median_first: float | None  # predictions until the flag, the median of those that got it


def summarise_actionable(backtests: Iterable[SymbolBacktest]) -> ActionableSummary:
    """Count the symbols that were actionable, and how soon."""
    flags = [one.rows["actionable"] for one in backtests if len(one.rows)]
    firsts = [int(np.argmax(one)) for one in flags if one.any()]
    return ActionableSummary(
        symbols=len(flags),
        ever=len(firsts),
        at_end=sum(bool(one[-1]) for one in flags),
        median_first=float(median(firsts)) if firsts else None,
    )
