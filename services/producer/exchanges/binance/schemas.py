"""Decode Binance's messages: nothing else knows its names and columns. PURE."""

import json
from math import inf
from typing import Any, Final

from services.producer.backfill.sequencer import KlineOrigin, ReceivedKline, Source, UnreadableKline
from services.producer.exchanges.validation import (
    closing_price,
    is_final,
    known_time_ms,
    open_price,
    validate_kline,
)
from services.producer.ports import (
    DayTicker,
    ListedSymbol,
    ServerShutdown,
    StreamEvent,
    StreamUpdate,
    SubscriptionAck,
    SubscriptionRefused,
)
from shared.adapters.schemas.wire import LAST_MS
from shared.core.bounded_json import decode_json
from shared.core.errors import BadInput
from shared.core.symbols import is_symbol

STREAM_FIELDS: Final = {
    "symbol": "s", "interval": "i", "open_time_ms": "t", "open": "o", "high": "h", "low": "l",
    "close": "c", "volume": "v", "quote_volume": "q", "trades": "n", "taker_buy_volume": "V",
    "taker_buy_quote_volume": "Q",
}  # fmt: skip
MAX_ORIGINAL_BYTES: Final = 10_000  # of a dead letter; a kline takes about 400
MAX_MINUTES: Final = 1_440  # of a weight limit
REST_COLUMNS: Final = (
    "open_time_ms", "open", "high", "low", "close", "volume", "close_time_ms", "quote_volume",
    "trades", "taker_buy_volume", "taker_buy_quote_volume", "unused",
)  # fmt: skip


def decode_message(original: bytes, interval: str, arrival_ms: int) -> StreamEvent:
    """Decode a message of the stream; one that is not JSON counts as an unreadable closed kline."""
    try:
        message = decode_json(original)
    except BadInput as error:
        origin = _origin(original, "stream", arrival_ms)
        return StreamUpdate(None, UnreadableKline("", None, error.reason, str(error), origin))
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
    event_ms = _to_time_ms(message.get("E"))
    kline = message.get("k")
    if message.get("e") != "kline" or not isinstance(kline, dict):
        return StreamUpdate(event_ms)
    if kline.get("x") is True and is_final(kline.get("t"), interval, event_ms):
        fields = {name: kline.get(key) for name, key in STREAM_FIELDS.items()}
        origin = _origin(original, "stream", arrival_ms)
        received = validate_kline(fields, kline.get("T"), interval, origin)
        return StreamUpdate(event_ms, received, closing_price(received))
    if kline.get("i") != interval:
        return StreamUpdate(event_ms)
    price = open_price(kline.get("s"), _to_time_ms(kline.get("t")), kline.get("c"), event_ms)
    return StreamUpdate(event_ms, None, price)


def decode_server_time(body: Any) -> int:
    """Decode the body of `GET /api/v3/time`.

    Raises:
        BadInput: it has no time.
    """
    time_ms = _to_time_ms(body.get("serverTime")) if isinstance(body, dict) else None
    if time_ms is None:
        raise BadInput("bad_field", "the response has no serverTime in milliseconds")
    return time_ms


def decode_listing(body: Any) -> dict[str, ListedSymbol]:
    """Decode the symbols of `GET /api/v3/exchangeInfo`; what cannot be read is left out.

    Raises:
        BadInput: it has no list of symbols.
    """
    rows = body.get("symbols") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise BadInput("bad_field", "the response has no symbols")
    readable = [row for row in rows if isinstance(row, dict) and _is_listed(row)]
    if rows and not readable:
        raise BadInput("bad_field", "the response has no symbols with a status")
    return {
        row["symbol"]: ListedSymbol(
            row["status"] == "TRADING", _to_text(row.get("quoteAsset")), row["status"]
        )
        for row in readable
    }


def decode_weight_limit(body: Any) -> int | None:
    """Decode the request weight that `GET /api/v3/exchangeInfo` allows in a minute; None: none."""
    limits = body.get("rateLimits") if isinstance(body, dict) else None
    weights = [_to_weight(each) for each in limits] if isinstance(limits, list) else []
    return min((weight for weight in weights if weight is not None), default=None)


def decode_tickers(body: Any) -> list[DayTicker]:
    """Decode the body of `GET /api/v3/ticker/24hr`; what cannot be read is left out.

    Raises:
        BadInput: it is no list.
    """
    tickers = [_to_ticker(row) for row in _to_list(body)]
    return [each for each in tickers if each is not None]


def decode_rest_klines(
    symbol: str, interval: str, body: Any, arrival_ms: int
) -> list[ReceivedKline]:
    """Decode the rows of `GET /api/v3/klines`, those of unfinished candles too.

    Args:
        symbol: the symbol requested.
        interval: the interval requested.
        body: the response's body.
        arrival_ms: when the response arrived.

    Raises:
        BadInput: it is no list.
    """
    return [_decode_row(symbol, interval, row, arrival_ms) for row in _to_list(body)]


def _decode_row(symbol: str, interval: str, row: Any, arrival_ms: int) -> ReceivedKline:
    origin = _origin(json.dumps(row, separators=(",", ":")), "rest", arrival_ms)
    if not isinstance(row, list) or len(row) < len(REST_COLUMNS):
        message = f"a row has {len(REST_COLUMNS)} columns, this is {origin.original[:80]!r}"
        time_ms = known_time_ms(row[0]) if isinstance(row, list) and row else None
        return UnreadableKline(symbol, time_ms, "bad_columns", message, origin)
    columns = dict(zip(REST_COLUMNS, row, strict=False))
    close_time_ms = columns.pop("close_time_ms")
    columns.pop("unused")
    fields = {"symbol": symbol, "interval": interval, **columns}
    return validate_kline(fields, close_time_ms, interval, origin)


def _origin(original: str | bytes, source: Source, arrival_ms: int) -> KlineOrigin:
    """Return a kline's origin; bytes beyond the longest kline are cut off."""
    if isinstance(original, str):
        original = original[:MAX_ORIGINAL_BYTES].encode(errors="replace")
    return KlineOrigin(original[:MAX_ORIGINAL_BYTES], source, arrival_ms)


def _is_listed(row: dict[str, Any]) -> bool:
    symbol = row.get("symbol")
    return isinstance(symbol, str) and is_symbol(symbol) and isinstance(row.get("status"), str)


def _to_ticker(row: Any) -> DayTicker | None:
    try:
        symbol = row["symbol"]
        numbers = [float(row[name]) for name in ("quoteVolume", "highPrice", "lowPrice")]
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    if not isinstance(symbol, str) or not all(0 <= number < inf for number in numbers):
        return None
    return DayTicker(symbol, *numbers)


def _to_weight(limit: Any) -> int | None:
    """Return the weight of one minute; None if it is a limit of something else, or absurd."""
    if not isinstance(limit, dict) or limit.get("rateLimitType") != "REQUEST_WEIGHT":
        return None
    weight, minutes = limit.get("limit"), limit.get("intervalNum", 1)
    is_whole = isinstance(weight, int) and isinstance(minutes, int)
    if limit.get("interval") != "MINUTE" or not is_whole or not 0 < minutes <= MAX_MINUTES:
        return None
    return int(weight // minutes)


def _to_time_ms(value: Any) -> int | None:
    is_time = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LAST_MS
    return value if is_time else None


def _to_list(body: Any) -> list[Any]:
    if not isinstance(body, list):
        raise BadInput("bad_field", "the response is no list")
    return body


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
