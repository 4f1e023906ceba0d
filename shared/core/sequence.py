"""A symbol's candles as an array: columns, length, append."""

from math import isnan, nan
from typing import Final

import numpy as np

from shared.core.arrays import Float64s, read_only64
from shared.core.records import Candle, MarketMove

# Columns of a sequence, float64 (n, 23), oldest candle first. A time in ms, a count of trades and a
# version of baskets are exact in a float64. NaN is unknown.
OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE_VOLUME, TRADES, TAKER_BUY_VOLUME = range(9)
MARKET_CHANGE: Final = 9
MARKET_SYMBOLS: Final = 10
BASKETS: Final = 11  # the version as a number: see `baskets_code`
BASKET_CHANGES: Final = slice(12, 24)
MAX_BASKETS: Final = 12
SEQUENCE_COLUMNS: Final = 24
EXCHANGE_COLUMNS: Final = 6  # up to VOLUME: those that every source of candles has
SEQUENCE_LENGTH: Final = 512  # candles kept: the longest window that a card may have

_BUFFER_SHAPE: Final = (SEQUENCE_LENGTH + 64, SEQUENCE_COLUMNS)
_UNKNOWN_MARKET: Final = (nan,) * (SEQUENCE_COLUMNS - MARKET_CHANGE)


def empty_sequence() -> Float64s:
    """Return a sequence without candles: (0, columns)."""
    return read_only64(np.empty((0, SEQUENCE_COLUMNS)))


def baskets_code(version: str | None) -> float:
    """Return the version of a definition of baskets as a number; NaN for none.

    >>> baskets_code("0000000a")
    10.0
    """
    return nan if version is None else float(int(version, 16))


def candle_values(candle: Candle) -> tuple[float, ...]:
    """Return the numbers of a candle in the order of the columns."""
    return (*own_values(candle), *market_values(candle.market))


def own_values(candle: Candle) -> tuple[float, ...]:
    """Return the numbers of the columns up to MARKET_CHANGE: those of the symbol itself."""
    c = candle
    own = (float(c.open_time_ms), c.open, c.high, c.low, c.close, c.volume)
    return (*own, _number(c.quote_volume), _number(c.trades), _number(c.taker_buy_volume))


def market_values(market: MarketMove | None) -> tuple[float, ...]:
    """Return the numbers of the columns from MARKET_CHANGE on."""
    if market is None:
        return _UNKNOWN_MARKET
    missing = (nan,) * (MAX_BASKETS - len(market.basket_changes))
    return (
        _number(market.change),
        float(market.symbols),
        baskets_code(market.baskets),
        *map(_number, market.basket_changes),
        *missing,
    )


def candle_row(candle: Candle) -> Float64s:
    """Return a candle as a row of a sequence: (1, columns)."""
    return np.array([candle_values(candle)], dtype=np.float64)


def row_candle(symbol: str, values: list[float]) -> Candle:
    """Return the candle of a sequence's row, as a list in the order of the columns."""
    time_ms, opened, high, low, close, volume, quote, trades, taker = values[:MARKET_CHANGE]
    return Candle(
        symbol,
        int(time_ms),
        opened,
        high,
        low,
        close,
        volume,
        _known(quote),
        None if isnan(trades) else int(trades),
        _known(taker),
        _market(values),
    )


def with_unknown_columns(rows: Float64s) -> Float64s:
    """Return candles (n, 6), up to their volume, as a sequence whose other columns are unknown."""
    sequence = np.full((len(rows), SEQUENCE_COLUMNS), nan)
    sequence[:, :EXCHANGE_COLUMNS] = rows
    return read_only64(sequence)


def append_candle(sequence: Float64s, candle: Candle) -> Float64s:
    """Return the sequence with one more candle; beyond SEQUENCE_LENGTH the oldest is dropped.

    Sequences that grow from each other are views of one buffer, so that most candles copy one row
    and not all of them.
    """
    kept = sequence[-(SEQUENCE_LENGTH - 1) :]
    buffer, end = _room_after(kept)
    buffer[end] = candle_values(candle)
    return read_only64(buffer[end - len(kept) : end + 1])


def insert_candle(sequence: Float64s, at: int, candle: Candle) -> Float64s:
    """Return the sequence with a candle put before row `at`; its newest SEQUENCE_LENGTH rows."""
    rows = np.insert(sequence, at, candle_row(candle), axis=0)
    return read_only64(rows[-SEQUENCE_LENGTH:].copy())


def replace_candle(sequence: Float64s, at: int, candle: Candle) -> Float64s:
    """Return the sequence with another candle in row `at`.

    An exchange corrects its own candle: where the correction has no move of the market, the move of
    the candle before it stays.
    """
    rows, row = sequence.copy(), candle_row(candle)[0]
    rows[at] = row
    if candle.market is None:
        rows[at, MARKET_CHANGE:] = sequence[at, MARKET_CHANGE:]
    return read_only64(rows)


def count_before(sequence: Float64s, time_ms: int) -> int:
    """Count the candles of a sequence (n, columns) that open before a time."""
    return int(np.searchsorted(sequence[:, OPEN_TIME], time_ms))


def _room_after(kept: Float64s) -> tuple[Float64s, int]:
    """Return a buffer with a free row after these candles, and that row's number.

    A row is free while its open time is unknown. No sequence sees it, because each ends before it;
    the second one to grow from the same candles finds it taken, and gets a buffer of its own.
    """
    buffer = kept.base
    if isinstance(buffer, np.ndarray) and buffer.shape == _BUFFER_SHAPE and buffer.flags.writeable:
        end = (kept.ctypes.data - buffer.ctypes.data) // buffer.strides[0] + len(kept)
        if end < len(buffer) and isnan(buffer[end, OPEN_TIME]):
            return buffer, end
    buffer = np.full(_BUFFER_SHAPE, nan)
    buffer[: len(kept)] = kept
    return buffer, len(kept)


def _market(values: list[float]) -> MarketMove | None:
    if isnan(values[MARKET_SYMBOLS]):
        return None
    code = values[BASKETS]
    has_baskets = not isnan(code)
    return MarketMove(
        _known(values[MARKET_CHANGE]),
        int(values[MARKET_SYMBOLS]),
        f"{int(code):08x}" if has_baskets else None,
        tuple(map(_known, values[BASKET_CHANGES])) if has_baskets else (),
    )


def _number(value: float | None) -> float:
    return nan if value is None else float(value)


def _known(value: float) -> float | None:
    return None if isnan(value) else value
