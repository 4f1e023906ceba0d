"""The backtest of one symbol, as work for a process of its own: next to nothing to import."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.cli.beside import add
from shared.core.arrays import Float64s
from shared.core.backtest import backtest
from shared.core.card import Bundle
from shared.core.features import OPEN_TIME
from shared.core.fold import Deployment, Model
from shared.core.scores import Scores

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
class Scored:
    """A symbol's scores, and its predictions as an array (n,) of ROW."""

    symbol: str
    scores: Scores
    rows: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """A model, promoted before the candle that opens at `from_ms`."""

    bundle: Bundle
    from_ms: int
    deployment: Deployment

    def candles(self, sequence: Float64s) -> int:
        """Return how many of a symbol's candles come after the promotion."""
        return int(np.sum(sequence[:, OPEN_TIME] >= self.from_ms))

    def of(self, symbol: str, sequence: Float64s) -> Scored:
        """Fold one symbol's candles (n, columns)."""
        rows = np.empty(self.candles(sequence), ROW)
        scores, count, told = Scores(), 0, 0
        for prediction in backtest(Model(self.bundle), symbol, sequence, self.from_ms, self.deployment):
            scores, rows[count] = prediction.scores, _fields(prediction)
            count += 1
            if count == told + _TICK:
                add(_TICK)
                told = count
        add(len(rows) - told)
        return Scored(symbol, scores, rows[:count])
