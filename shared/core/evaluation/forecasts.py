"""Held-out candles with their history, and forecasts of them as arrays."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shared.core.arrays import Float64s
from shared.core.sequence import CLOSE, OPEN_TIME, SEQUENCE_LENGTH, count_before
from shared.core.sequence_mapping import own_columns


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutSpan:
    """A symbol's sequence (n, columns), oldest candle first, held out from row `start` on.

    With `learns_before` a contender has learnt from the history as a training's end leaves it;
    without, it is promoted at the held-out span with the starts that its bundle carries.
    """

    symbol: str
    sequence: Float64s
    start: int
    learns_before: bool = False

    @property
    def events(self) -> int:
        """How many candles a contender folds."""
        return len(self.sequence) if self.learns_before else len(self.candles)

    @property
    def before(self) -> Float64s:
        """The history, which a contender may learn from."""
        return self.sequence[: self.start]

    @property
    def recent(self) -> Float64s:
        """The part of the history that the online state keeps."""
        return self.sequence[max(0, self.start - SEQUENCE_LENGTH) : self.start]

    @property
    def candles(self) -> Float64s:
        """The held-out candles."""
        return self.sequence[self.start :]


def split_at(sequences: Mapping[str, Float64s], from_ms: int) -> list[HeldOutSpan]:
    """Hold out all candles of every symbol that open at `from_ms` or later."""
    return [
        HeldOutSpan(symbol, sequence, count_before(sequence, from_ms))
        for symbol, sequence in sequences.items()
    ]


def learning_before(spans: Iterable[HeldOutSpan], candles: int) -> list[HeldOutSpan]:
    """Return the spans with at most so many candles of history, which contenders learn from."""
    return [
        HeldOutSpan(span.symbol, span.sequence[drop:], span.start - drop, learns_before=True)
        for span in spans
        for drop in [max(0, span.start - candles)]
    ]


def hold_out(
    sequences: Mapping[str, Float64s],
    from_ms: int,
    max_candles: int,
    max_symbols: int,
    until_ms: int = sys.maxsize,
) -> list[HeldOutSpan]:
    """Hold out candles of evenly chosen symbols.

    Args:
        sequences: candles (n, columns) by symbol.
        from_ms: the open time of the first held-out candle.
        max_candles: held out of each symbol, the oldest ones.
        max_symbols: chosen of those with at least two held-out candles.
        until_ms: candles that open then or later are left out.
    """
    own = own_columns(sequences)
    starts = {symbol: count_before(one, from_ms) for symbol, one in own.items()}
    ends = {symbol: count_before(one, until_ms) for symbol, one in own.items()}
    symbols = [symbol for symbol in own if ends[symbol] - starts[symbol] > 1]
    chosen = np.linspace(0, len(symbols) - 1, min(max_symbols, len(symbols)))
    return [
        HeldOutSpan(
            symbol,
            sequences[symbol][: min(starts[symbol] + max_candles, ends[symbol])],
            starts[symbol],
        )
        for symbol in (symbols[int(at)] for at in chosen)
    ]


def hold_out_before(
    sequences: Mapping[str, Float64s], from_ms: int, max_candles: int, step_ms: int
) -> list[HeldOutSpan]:
    """Hold out as long a span right before a moment as the sequences cover after it.

    Args:
        sequences: candles (n, columns) by symbol.
        from_ms: the moment.
        max_candles: the span's length at most.
        step_ms: the interval.
    """
    after = max((len(span.candles) for span in split_at(sequences, from_ms)), default=0)
    earlier = {s: sequence[: count_before(sequence, from_ms)] for s, sequence in sequences.items()}
    return split_at(earlier, from_ms - min(after, max_candles) * step_ms)


def with_full_windows(spans: list[HeldOutSpan], window_length: int) -> list[HeldOutSpan]:
    """Select the spans that give a full window at their first candle.

    Models of different window lengths forecast the same candles of these.
    """
    return [span for span in spans if span.start >= window_length]


@dataclass(frozen=True, slots=True, eq=False)
class ForecastSeries:
    """A symbol's forecasts and their outcomes, arrays (n,), oldest first.

    Changes are fractions of the last close. An outcome across a gap is NaN.
    """

    open_time_ms: Float64s  # of the candle that is forecast
    change: Float64s  # the network's output
    calibrated: Float64s  # the same, shrunk by what earlier forecasts were worth
    outcome: Float64s

    def at(self, times_ms: Float64s) -> "ForecastSeries":
        """Select the forecasts of the candles that open at these times."""
        chosen = np.isin(self.open_time_ms, times_ms)
        columns = (self.open_time_ms, self.change, self.calibrated, self.outcome)
        return ForecastSeries(*(column[chosen] for column in columns))


SeriesBySymbol: TypeAlias = Mapping[str, ForecastSeries]


def changes_to_next(times_ms: Float64s, closes: Float64s, step_ms: int) -> Float64s:
    """Compute the change (n,) from each close to the next, as a fraction.

    The change across a gap is NaN, and so is the last one.

    >>> changes_to_next(np.array([0.0, 1.0, 3.0]), np.array([100.0, 110.0, 121.0]), 1)
    array([0.1, nan, nan])
    """
    labels = np.full(len(closes), np.nan)
    follows = np.diff(times_ms) == step_ms
    labels[:-1][follows] = (closes[1:] / closes[:-1] - 1.0)[follows]
    return labels


def next_changes(sequence: Float64s, step_ms: int) -> Float64s:
    """Compute the label (n,) of the window that ends at each candle: next close / close - 1.

    NaN where the candle after it is missing: a gap gives no label.
    """
    return changes_to_next(sequence[:, OPEN_TIME], sequence[:, CLOSE], step_ms)
