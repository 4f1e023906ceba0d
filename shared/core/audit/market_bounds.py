"""Bounds of the market's move in an interval, from the candles that the log has of it.

The move is a median of changes to the newest prices heard, so it cannot be recomputed to the digit:
the log has the close, which comes seconds later, and not the candles of symbols that are followed
for their price alone. But it has bounds that hold whatever those prices were:

1. A price of the interval lies between its candle's low and high, and a median is monotone: it lies
   between the medians of the changes to the lows and to the highs.
2. A median over other symbols lies between two order statistics of these changes: each symbol that
   one side has and the other lacks moves it by at most one rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.sequence import CLOSE, HIGH, LOW, OPEN_TIME

_SLACK_SHARE: Final = 8  # of so many symbols one more may be exchanged for another
_ROUNDING: Final = 2e-9  # each change, and their median, are rounded to 1e-9

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class KnownChanges:
    """The changes of some symbols at moments that follow each other, each row ascending."""

    lowest: Float64s  # (moments, symbols), to the lows; NaN last
    closing: Float64s  # (moments, symbols), to the closes; NaN last
    highest: Float64s  # (moments, symbols), to the highs; NaN last
    counts: Int64s  # (moments,), symbols known

    def medians(self) -> Float64s:
        """Return the medians of the changes to the closes (moments,); NaN where none is known."""
        return self._medians_of(self.closing)

    def ranges(self) -> Float64s:
        """Return how far the medians to the lows and highs are apart (moments,)."""
        return np.nan_to_num(self._medians_of(self.highest) - self._medians_of(self.lowest))

    def bounds(self, moments: Int64s, members: Int64s) -> tuple[Float64s, Float64s]:
        """Return the bounds of medians over so many symbols (n,), at these moments (n,).

        NaN where too few of them are known.
        """
        known, slack = self.counts[moments], -(-members // _SLACK_SHARE)
        first = (members - 1) // 2 - np.maximum(members - known, 0) - slack
        last = members // 2 + np.maximum(known - members, 0) + slack
        is_bounded = (first >= 0) & (last < known)
        first, last = np.where(is_bounded, first, 0), np.where(is_bounded, last, 0)
        lower = np.where(is_bounded, self.lowest[moments, first] - _ROUNDING, np.nan)
        upper = np.where(is_bounded, self.highest[moments, last] + _ROUNDING, np.nan)
        return lower, upper

    def _medians_of(self, ordered: Float64s) -> Float64s:
        rows, last = np.arange(len(self.counts)), np.maximum(self.counts - 1, 0)
        medians: Float64s = (ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]) / 2.0
        return medians


def known_changes(
    candles: Mapping[str, Float64s],
    symbols: Sequence[str],
    from_ms: int,
    moments: int,
    step_ms: int,
) -> KnownChanges:
    """Return the changes of symbols from the close before, at moments from a time on.

    Args:
        candles: sequences by symbol, or their first columns up to the close.
        symbols: those to look at; one without candles is unknown.
        from_ms: the first moment.
        moments: how many.
        step_ms: the interval.
    """
    prices = np.full((3, moments + 1, len(symbols)), np.nan)  # the moment before comes first
    for number, symbol in enumerate(symbols):
        rows = candles.get(symbol)
        if rows is not None:
            times = rows[:, OPEN_TIME]
            start, end = np.searchsorted(times, [from_ms - step_ms, from_ms + moments * step_ms])
            at = (times[start:end].astype(np.int64) - from_ms) // step_ms + 1
            prices[:, at, number] = rows[start:end, [LOW, CLOSE, HIGH]].T
    lowest, closing, highest = np.sort(prices[:, 1:] / prices[1, :-1] - 1.0, axis=2)
    return KnownChanges(lowest, closing, highest, np.isfinite(closing).sum(axis=1))
