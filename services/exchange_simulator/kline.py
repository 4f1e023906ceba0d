"""Binance's message formats of a candle, and the states of a candle before it closes.

Fields that a recording lacks (trades, quote and taker volumes of a Parquet file) are sent as zero.
"""

from collections.abc import Callable
from typing import Any

from shared.adapters.recording import CandleRow


def partial_candle(row: CandleRow, progress: float) -> CandleRow:
    """Return an open candle, whose price moves in straight lines to the final candle's.

    The path is open, the extreme away from the close, the other extreme, close.

    Args:
        row: the final candle.
        progress: the share of the interval that has passed, in [0, 1).
    """
    format_price = _formatter(row.open, row.high, row.low, row.close)
    format_volume = _formatter(row.volume)
    opening, high, low, close = (float(text) for text in (row.open, row.high, row.low, row.close))
    corners = (opening, low, high, close) if close >= opening else (opening, high, low, close)
    position = 3 * progress
    leg = min(int(position), 2)
    last = corners[leg] + (position - leg) * (corners[leg + 1] - corners[leg])
    path = (*corners[: leg + 1], last)
    return row._replace(
        high=format_price(max(path)),
        low=format_price(min(path)),
        close=format_price(last),
        volume=format_volume(float(row.volume) * progress),
        quote_volume=_scale(row.quote_volume, progress),
        trades=None if row.trades is None else int(row.trades * progress),
        taker_buy_volume=_scale(row.taker_buy_volume, progress),
        taker_buy_quote_volume=_scale(row.taker_buy_quote_volume, progress),
    )


def to_rest_row(row: CandleRow, interval_ms: int) -> list[str | int]:
    """Return a row of `GET /api/v3/klines`."""
    close_ms = row.open_time_ms + interval_ms - 1
    prices = (row.open, row.high, row.low, row.close, row.volume)
    amounts = (row.taker_buy_volume or "0", row.taker_buy_quote_volume or "0", "0")
    return [row.open_time_ms, *prices, close_ms, row.quote_volume or "0", row.trades or 0, *amounts]


def to_stream_event(
    row: CandleRow, interval: str, interval_ms: int, event_ms: int, *, closed: bool
) -> dict[str, Any]:
    """Return the payload of a kline stream; the trade ids, which are unknown, are -1."""
    close_ms = row.open_time_ms + interval_ms - 1
    taker, taker_quote = row.taker_buy_volume or "0", row.taker_buy_quote_volume or "0"
    kline = {
        "t": row.open_time_ms, "T": close_ms, "s": row.symbol, "i": interval, "f": -1, "L": -1,
        "o": row.open, "c": row.close, "h": row.high, "l": row.low, "v": row.volume,
        "n": row.trades or 0, "x": closed, "q": row.quote_volume or "0", "V": taker,
        "Q": taker_quote, "B": "0",
    }  # fmt: skip
    return {"e": "kline", "E": event_ms, "s": row.symbol, "k": kline}


def _scale(text: str | None, progress: float) -> str | None:
    return None if text is None else _formatter(text)(float(text) * progress)


def _formatter(*texts: str) -> Callable[[float], str]:
    """Return a formatter with as many decimals as the longest of the texts."""
    decimals = max(len(text.partition(".")[2]) for text in texts)
    return lambda number: f"{number:.{decimals}f}"
