"""The features of the original project: prices and the time of day."""

from functools import lru_cache
from typing import Final

import numpy as np

from shared.core.arrays import Float64s, read_only64
from shared.core.features.base import Carry, FoldedFeatures
from shared.core.features.time_of_day import MINUTES_PER_DAY, cosine, sine
from shared.core.sequence import CLOSE, OPEN, OPEN_TIME

_MINUTE_MS: Final = 60_000


class Levels:
    """Prices as they are, and the time of day as a point on a circle.

    | column | formula | range | source |
    | --- | --- | --- | --- |
    | 0 to 3 | open, high, low, close | above 0 | the candle |
    | 4 | sin(2 pi m / 1440), m the UTC minute of day | -1 to 1 | open time |
    | 5 | cos(2 pi m / 1440) | -1 to 1 | open time |
    """

    columns = 6
    needs_scaler = True
    needs_market = False
    initial_carry: Carry = ()
    mirror = None  # prices cannot be turned upside down

    def update(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Return the candle's row; nothing is remembered."""
        return carry, _rows(candle[None])[0]

    def compute(self, sequence: Float64s, step_ms: int) -> FoldedFeatures:
        """Return the rows of all candles."""
        count = len(sequence)
        return FoldedFeatures((), _rows(sequence), np.ones(count), np.zeros(count))

    def carry_after(self, sequence: Float64s, step_ms: int) -> Carry:
        """Fold all candles into the carry alone."""
        return self.compute(sequence, step_ms).carry

    def change_unit(self, carry: Carry) -> float:
        """Return 1: changes are measured as they are."""
        return 1.0

    def explained_change(self, carry: Carry, market_change: float) -> float:
        """Return 0: the market is not looked at."""
        return 0.0


@lru_cache(maxsize=1)
def _circle() -> Float64s:
    """Return sine and cosine of every minute of the day: (1440, 2)."""
    return read_only64(np.array([(sine(m), cosine(m)) for m in range(MINUTES_PER_DAY)]))


def _rows(sequence: Float64s) -> Float64s:
    rows = np.empty((len(sequence), Levels.columns))
    rows[:, :4] = sequence[:, OPEN : CLOSE + 1]
    minutes = (sequence[:, OPEN_TIME].astype(np.int64) // _MINUTE_MS) % MINUTES_PER_DAY
    rows[:, 4:] = _circle().take(minutes, axis=0)
    return rows
