"""Held-out candles with their history, and forecasts of them as arrays."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.evaluation.volatility import volatility_after
from shared.core.sequence import CLOSE, OPEN, OPEN_TIME, SEQUENCE_LENGTH, VOLUME, count_before
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


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCandles:
    """A symbol's candles that are forecast, arrays (n,), oldest first."""

    open_time_ms: Float64s
    volatility: Float64s  # at the moment of the forecast
    first_change: Float64s  # from the close before to the open: the first trade; NaN across a gap
    is_traded: NDArray[np.bool_]  # whether the candle has volume; false across a gap

    def at(self, times_ms: Float64s) -> "ScoredCandles":
        """Select the candles that open at these times."""
        chosen = np.isin(self.open_time_ms, times_ms)
        return ScoredCandles(
            self.open_time_ms[chosen],
            self.volatility[chosen],
            self.first_change[chosen],
            self.is_traded[chosen],
        )


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


def compute_volatility(before: Float64s, candles: Float64s, step_ms: int) -> Float64s:
    """Compute a symbol's volatility (n - 1,) at the moment of each forecast, as a fraction.

    Args:
        before: the candles (m, columns) before the first forecast.
        candles: the candles (n, columns) that forecasts are made at; the last one makes none,
            since its outcome is unknown.
        step_ms: the interval.
    """
    return volatility_after(np.concatenate([before, candles]), step_ms)[len(before) : -1]


def scored_candles(span: HeldOutSpan, step_ms: int) -> ScoredCandles:
    """Return the candles of a held-out span that can be forecast: those after each but the last.

    Where the candle after one is missing, its open time is that of the missing one.
    """
    now, following = span.candles[:-1], span.candles[1:]
    follows = following[:, OPEN_TIME] == now[:, OPEN_TIME] + step_ms
    return ScoredCandles(
        now[:, OPEN_TIME] + step_ms,
        compute_volatility(span.recent, span.candles, step_ms),
        np.where(follows, following[:, OPEN] / now[:, CLOSE] - 1.0, np.nan),
        follows & (following[:, VOLUME] > 0.0),
    )
