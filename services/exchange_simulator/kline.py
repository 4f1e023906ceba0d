"""The exchange's wire shapes of a candle, and what a candle looks like before it closes.

What a recording does not tell (trades, quote and taker volumes of a parquet file) is sent as zero.
"""

from collections.abc import Callable

from shared.adapters.candle_files import CandleRow


def partial(row: CandleRow, progress: float) -> CandleRow:
    """Return a candle as it looks while it is open: a path of straight lines that ends in the final candle.

    The price goes from open to the extreme on the far side of close, to the other extreme, to close.

    Args:
        row: the final candle.
        progress: how much of the interval has passed, in [0, 1).
    """
    price = _with_decimals(row.open, row.high, row.low, row.close)
    amount = _with_decimals(row.volume)
    opened, high, low, close = (float(text) for text in (row.open, row.high, row.low, row.close))
    corners = (opened, low, high, close) if close >= opened else (opened, high, low, close)
    at = 3 * progress
    leg = min(int(at), 2)
    last = corners[leg] + (at - leg) * (corners[leg + 1] - corners[leg])
    seen = (*corners[: leg + 1], last)
    return row._replace(
        high=price(max(seen)),
        low=price(min(seen)),
        close=price(last),
        volume=amount(float(row.volume) * progress),
        quote_volume=_share(row.quote_volume, progress),
        trades=None if row.trades is None else int(row.trades * progress),
        taker_buy_volume=_share(row.taker_buy_volume, progress),
        taker_buy_quote_volume=_share(row.taker_buy_quote_volume, progress),
    )


def rest_row(row: CandleRow, interval_ms: int) -> list[str | int]:
    """Return a row of the answer to `GET /api/v3/klines`."""
    close_ms = row.open_time_ms + interval_ms - 1
    prices = (row.open, row.high, row.low, row.close, row.volume)
    amounts = (row.taker_buy_volume or "0", row.taker_buy_quote_volume or "0", "0")
    return [row.open_time_ms, *prices, close_ms, row.quote_volume or "0", row.trades or 0, *amounts]


def event(
    row: CandleRow, interval: str, interval_ms: int, event_ms: int, *, closed: bool
) -> dict[str, object]:
    """Return the payload of a kline stream. Trade ids, which nothing here needs, are unknown: -1."""
    kline = {
        "t": row.open_time_ms,
        "T": row.open_time_ms + interval_ms - 1,
        "s": row.symbol,
        "i": interval,
        "f": -1,
        "L": -1,
        "o": row.open,
        "c": row.close,
        "h": row.high,
        "l": row.low,
        "v": row.volume,
        "n": row.trades or 0,
        "x": closed,
        "q": row.quote_volume or "0",
        "V": row.taker_buy_volume or "0",
        "Q": row.taker_buy_quote_volume or "0",
        "B": "0",
    }
    return {"e": "kline", "E": event_ms, "s": row.symbol, "k": kline}


def _share(text: str | None, progress: float) -> str | None:
    return None if text is None else _with_decimals(text)(float(text) * progress)


def _with_decimals(*texts: str) -> Callable[[float], str]:
    """Return a format with as many decimals as the texts have at most."""
    decimals = max(len(text.partition(".")[2]) for text in texts)
    return lambda number: f"{number:.{decimals}f}"
