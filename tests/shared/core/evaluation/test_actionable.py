"""How many symbols of a backtest became actionable, and how soon."""

import numpy as np

from shared.core.evaluation.actionable import ActionableSummary, summarise_actionable
from shared.core.evaluation.backtest import PREDICTION_ROW, SymbolBacktest
from shared.core.online.scores import Scores


def with_flags(*flags: bool) -> SymbolBacktest:
    rows = np.zeros(len(flags), PREDICTION_ROW)
    rows["actionable"] = flags
    return SymbolBacktest("BTCUSDT", rows, Scores())


def test_symbols_are_counted_by_their_flags() -> None:
    backtests = [
        with_flags(False, False, True, True),
        with_flags(True, False),
        with_flags(False, False),
        with_flags(),
    ]

    assert summarise_actionable(backtests) == ActionableSummary(3, 2, 1, 1.0)


def test_without_a_flag_there_is_no_median() -> None:
    assert summarise_actionable([with_flags(False)]).median_first is None
