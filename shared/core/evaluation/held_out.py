"""Held-out spans: the candles that forecasts are scored on, and the history before them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.core.arrays import Float64s
from shared.core.sequence import SEQUENCE_LENGTH, count_before


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutSpan:
    """A symbol's sequence (n, columns), oldest candle first, held out from row `start` on."""

    symbol: str
    sequence: Float64s
    start: int

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


def hold_out(
    sequences: Mapping[str, Float64s], from_ms: int, max_candles: int, max_symbols: int
) -> list[HeldOutSpan]:
    """Hold out candles of evenly chosen symbols.

    Args:
        sequences: candles (n, columns) by symbol.
        from_ms: the open time of the first held-out candle.
        max_candles: held out of each symbol, the oldest ones.
        max_symbols: chosen of those with at least two held-out candles.
    """
    spans = [
        HeldOutSpan(span.symbol, span.sequence[: span.start + max_candles], span.start)
        for span in split_at(sequences, from_ms)
        if len(span.candles) > 1
    ]
    chosen = np.linspace(0, len(spans) - 1, min(max_symbols, len(spans)))
    return [spans[int(at)] for at in chosen]


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
