"""The original's features: prices and the time of day."""

from functools import lru_cache

import numpy as np

from shared.core.arrays import Float64s, read_only64
from shared.core.features.base import Carry
from shared.core.features.time_of_day import cosine, sine
from shared.core.sequence import CLOSE, OPEN, OPEN_TIME

_MINUTE_MS = 60_000


class Levels:
    """Open, high, low, close and the sine and cosine of the UTC minute of day, as the original has them."""

    columns = 6
    is_ranged = True
    close: int | None = 3
    start: Carry = ()

    def after(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Remember nothing."""
        return carry, _levels(candle[None])[0]

    def over(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        """Return the rows of all candles."""
        return (), _levels(sequence), np.ones(len(sequence))

    def unit(self, carry: Carry) -> float:
        """Changes are measured as they are."""
        return 1.0

    @property
    def mirror(self) -> None:
        """Prices cannot be turned upside down."""
        return None


@lru_cache(maxsize=1)
def _day() -> Float64s:
    """Sine and cosine of every minute of the day: (1440, 2)."""
    return read_only64(np.array([(sine(m), cosine(m)) for m in range(1440)]))


def _levels(sequence: Float64s) -> Float64s:
    rows = np.empty((len(sequence), Levels.columns))
    rows[:, :4] = sequence[:, OPEN : CLOSE + 1]
    minutes = (sequence[:, OPEN_TIME].astype(np.int64) // _MINUTE_MS) % 1440
    rows[:, 4:] = _day().take(minutes, axis=0)
    return rows
