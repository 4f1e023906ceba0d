"""A symbol's candles as an array: columns, length, append."""

from typing import Final

import numpy as np

from shared.core.arrays import Float64s, read_only64
from shared.core.records import Candle

# Columns of a sequence, float64 (n, 6), oldest candle first. A time in ms is exact in a float64.
OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
SEQUENCE_COLUMNS: Final = 6
SEQUENCE_LENGTH: Final = 1024  # candles kept: the longest window that a card may have


def empty_sequence() -> Float64s:
    """Return a sequence without candles: (0, columns)."""
    return read_only64(np.empty((0, SEQUENCE_COLUMNS)))


def candle_row(candle: Candle) -> Float64s:
    """Return a candle as a row of a sequence: (1, columns)."""
    c = candle
    return np.array([[c.open_time_ms, c.open, c.high, c.low, c.close, c.volume]], dtype=np.float64)


def append_candle(sequence: Float64s, candle: Candle) -> Float64s:
    """Return the sequence with one more candle; beyond SEQUENCE_LENGTH the oldest is dropped."""
    keep = sequence[-(SEQUENCE_LENGTH - 1) :] if len(sequence) >= SEQUENCE_LENGTH else sequence
    return read_only64(np.concatenate([keep, candle_row(candle)]))


def count_before(sequence: Float64s, time_ms: int) -> int:
    """Count the candles of a sequence (n, columns) that open before a time."""
    return int(np.searchsorted(sequence[:, OPEN_TIME], time_ms))
