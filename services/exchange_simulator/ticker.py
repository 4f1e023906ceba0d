"""Binance's 24-hour statistics of a symbol, from its candles; there is no order book."""

from collections.abc import Sequence
from typing import Final

from shared.adapters.recording import CandleRow

DAY_MS: Final = 24 * 3600 * 1000
TYPES: Final = ("FULL", "MINI")


def to_day_ticker(
    symbol: str, rows: Sequence[CandleRow], now_ms: int, kind: str
) -> dict[str, object]:
    """Return an element of `GET /api/v3/ticker/24hr`, without the fields of the order book.

    A symbol without a candle has zeros throughout. The trade ids, which are unknown, are -1.

    Args:
        symbol: the symbol.
        rows: its candles of the last 24 hours, ascending; the last may be open.
        now_ms: the exchange's time.
        kind: FULL or MINI.
    """
    opened, close = (rows[0].open, rows[-1].close) if rows else ("0", "0")
    volume, quote_volume = sum(float(r.volume) for r in rows), sum(map(_quote_volume, rows))
    ticker = {
        "symbol": symbol,
        "openPrice": opened,
        "highPrice": max((r.high for r in rows), key=float, default="0"),
        "lowPrice": min((r.low for r in rows), key=float, default="0"),
        "lastPrice": close,
        "volume": f"{volume:.8f}",
        "quoteVolume": f"{quote_volume:.8f}",
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": -1,
        "lastId": -1,
        "count": sum(r.trades or 0 for r in rows),
    }
    return ticker if kind == "MINI" else ticker | _price_change(float(opened), float(close))


def _price_change(opened: float, close: float) -> dict[str, object]:
    percent = 100 * (close / opened - 1) if opened else 0.0
    return {"priceChange": f"{close - opened:.8f}", "priceChangePercent": f"{percent:.3f}"}


def _quote_volume(row: CandleRow) -> float:
    """Return a candle's quote volume; a recording without one is valued at the close."""
    known = row.quote_volume
    return float(row.volume) * float(row.close) if known is None else float(known)
