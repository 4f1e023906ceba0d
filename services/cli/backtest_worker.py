"""The backtest of one symbol, as work for a process of its own: next to nothing to import."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.cli.worker_pool import report_progress
from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import backtest, changes, volatility
from shared.core.evaluation.comparison import ForecastSeries
from shared.core.evaluation.online_ridge import ridge_forecasts
from shared.core.model.card import Bundle
from shared.core.model.shrinkage import Shrinkage
from shared.core.online.context import FoldContext
from shared.core.online.model import Model
from shared.core.online.scores import Scores
from shared.core.sequence import OPEN_TIME, SEQUENCE_LENGTH

ROW: Final = np.dtype(
    [
        ("open_time_ms", np.int64),
        ("close", np.float64),
        ("predicted_change", np.float64),
        ("predicted_close", np.float64),
        ("calibrated_change", np.float64),
        ("calibrated_close", np.float64),
        ("actionable", np.bool_),
        ("steps", np.int64),
        ("loss", np.float64),  # NaN where nothing was learnt
    ]
)
_TICK: Final = 100  # predictions between two words on how far it is: some 50 ms
_fields = attrgetter(*ROW.names or ())


@dataclass(frozen=True, slots=True, eq=False)
class SymbolScore:
    """A symbol's scores, and its predictions as an array (n,) of ROW."""

    symbol: str
    scores: Scores
    rows: NDArray[Any]

    def track(self, step_ms: int) -> ForecastSeries:
        """Return its forecasts without the last one, whose outcome is not known."""
        rows = self.rows
        times = rows["open_time_ms"].astype(np.float64)
        columns = (
            times,
            rows["predicted_change"],
            rows["calibrated_change"],
            changes(times, rows["close"], step_ms),
        )
        return ForecastSeries(*(column[:-1] for column in columns))


def candles_from(sequence: Float64s, from_ms: int) -> int:
    """Return how many of a symbol's candles come from a moment on."""
    return int(np.sum(sequence[:, OPEN_TIME] >= from_ms))


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """A model, promoted before the candle that opens at `from_ms`."""

    bundle: Bundle
    from_ms: int
    context: FoldContext

    def of(self, symbol: str, sequence: Float64s) -> SymbolScore:
        """Fold one symbol's candles (n, columns)."""
        rows = np.empty(candles_from(sequence, self.from_ms), ROW)
        scores, count, told = Scores(), 0, 0
        for prediction in backtest(
            Model(self.bundle), symbol, sequence, self.from_ms, self.context
        ):
            scores, rows[count] = prediction.scores, _fields(prediction)
            count += 1
            if count == told + _TICK:
                report_progress(_TICK)
                told = count
        report_progress(len(rows) - told)
        return SymbolScore(symbol, scores, rows[:count])


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A symbol's online linear forecasts, and the volatility (n,) when each was made."""

    symbol: str
    track: ForecastSeries
    volatility: Float64s


@dataclass(frozen=True, slots=True)
class Comparing:
    """What a model's forecasts of the candles from `from_ms` on are compared with."""

    from_ms: int
    step_ms: int
    shrinkage: Shrinkage

    def of(self, symbol: str, sequence: Float64s) -> Compared:
        """Forecast one symbol's candles (n, columns); those before `from_ms` are only learnt from."""
        start = int(np.searchsorted(sequence[:, OPEN_TIME], self.from_ms))
        before, candles = sequence[:start], sequence[start:]
        units = volatility(before[-SEQUENCE_LENGTH:], candles, self.step_ms)
        track = ridge_forecasts(before, candles, self.step_ms, self.shrinkage)
        report_progress(len(candles))
        return Compared(symbol, track, units)
