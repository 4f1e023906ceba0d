"""Decode Binance's messages: nothing else knows its names and columns. PURE."""

import json
from collections.abc import Sequence
from typing import Any, Final

from services.producer.exchanges.validation import (
    closing_price,
    is_final,
    known_time_ms,
    open_price,
    validate_kline,
)
from services.producer.ports import (
    DayTicker,
    ServerShutdown,
    StreamEvent,
    StreamUpdate,
    SubscriptionAck,
    SubscriptionRefused,
)
from services.producer.sequencer import KlineOrigin, ReceivedKline, UnreadableKline

STREAM_FIELDS: Final = {
    "symbol": "s", "interval": "i", "open_time_ms": "t", "open": "o", "high": "h", "low": "l",
    "close": "c", "volume": "v", "quote_volume": "q", "trades": "n", "taker_buy_volume": "V",
    "taker_buy_quote_volume": "Q",
}  # fmt: skip
REST_COLUMNS: Final = (
    "open_time_ms", "open", "high", "low", "close", "volume", "close_time_ms", "quote_volume",
    "trades", "taker_buy_volume", "taker_buy_quote_volume", "unused",
)  # fmt: skip


def decode_message(original: bytes, interval: str, arrival_ms: int) -> StreamEvent:
    """Decode a message of the stream; one that is not JSON counts as an unreadable closed kline."""
    try:
        message = json.loads(original)
    except (ValueError, RecursionError) as error:  # the latter if it is nested deeply
        origin = KlineOrigin(original, "stream", arrival_ms)
        return StreamUpdate(None, UnreadableKline("", None, "not_json", str(error)[:200], origin))
    if isinstance(message, dict) and isinstance(message.get("data"), dict):
        message = message["data"]  # the form of combined streams
    if not isinstance(message, dict):
        return StreamUpdate(None)
    if "error" in message or "code" in message or "result" in message:
        return _decode_response(message, original)
    if message.get("e") == "serverShutdown":
        return ServerShutdown("the exchange announced that it shuts the connection down")
    return _decode_kline(message, interval, original, arrival_ms)


def _decode_response(message: dict[str, Any], original: bytes) -> StreamEvent:
    """Decode the response to a subscription; one without a number as its id may be a refusal."""
    request_id = message.get("id") if isinstance(message.get("id"), int) else None
    if "error" in message or "code" in message:
        reason = original[:200].decode(errors="replace")
        return SubscriptionRefused(request_id, f"the exchange refused it: {reason}")
    return StreamUpdate(None) if request_id is None else SubscriptionAck(request_id)


def _decode_kline(
    message: dict[str, Any], interval: str, original: bytes, arrival_ms: int
) -> StreamUpdate:
    event_ms = message.get("E") if isinstance(message.get("E"), int) else None
    kline = message.get("k")
    if message.get("e") != "kline" or not isinstance(kline, dict):
        return StreamUpdate(event_ms)
    if kline.get("x") is True and is_final(kline.get("t"), interval, event_ms):
        fields = {name: kline.get(key) for name, key in STREAM_FIELDS.items()}
        origin = KlineOrigin(original, "stream", arrival_ms)
        received = validate_kline(fields, kline.get("T"), interval, origin)
        return StreamUpdate(event_ms, received, closing_price(received))
    if kline.get("i") != interval:
        return StreamUpdate(event_ms)
    price = open_price(kline.get("s"), kline.get("t"), kline.get("c"), event_ms)
    return StreamUpdate(event_ms, None, price)


def decode_tickers(rows: Sequence[Any]) -> list[DayTicker]:
    """Decode the body of `GET /api/v3/ticker/24hr`; what cannot be read is left out."""
    tickers = []
    for row in rows:
        try:
            numbers = [float(row[name]) for name in ("quoteVolume", "highPrice", "lowPrice")]
            tickers.append(DayTicker(str(row["symbol"]), *numbers))
        except (TypeError, KeyError, ValueError):
            continue
    return tickers


def decode_rest_klines(
    symbol: str, interval: str, rows: Sequence[Any], arrival_ms: int
) -> list[ReceivedKline]:
    """Decode the rows of `GET /api/v3/klines`, those of unfinished candles too.

    Args:
        symbol: the symbol requested.
        interval: the interval requested.
        rows: the response's body.
        arrival_ms: when the response arrived.
    """
    return [_decode_row(symbol, interval, row, arrival_ms) for row in rows]


def _decode_row(symbol: str, interval: str, row: Any, arrival_ms: int) -> ReceivedKline:
    original = json.dumps(row, separators=(",", ":")).encode()
    origin = KlineOrigin(original, "rest", arrival_ms)
    if not isinstance(row, list) or len(row) < len(REST_COLUMNS):
        message = f"a row has {len(REST_COLUMNS)} columns, this is {original[:80]!r}"
        time_ms = known_time_ms(row[0]) if isinstance(row, list) and row else None
        return UnreadableKline(symbol, time_ms, "bad_columns", message, origin)
    columns = dict(zip(REST_COLUMNS, row, strict=False))
    close_time_ms = columns.pop("close_time_ms")
    columns.pop("unused")
    fields = {"symbol": symbol, "interval": interval, **columns}
    return validate_kline(fields, close_time_ms, interval, origin)
