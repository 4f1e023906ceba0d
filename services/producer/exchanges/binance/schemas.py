"""The exchange's own shapes: its one-letter names and its rows end here. PURE."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.producer.sequencer import ReceivedCandle, Source, UnreadableKline
from shared.adapters.schemas import build_candle_message, encode_record
from shared.core.errors import BadInput
from shared.core.topics import interval_ms

ROW_COLUMNS: Final = 12
SYMBOL: Final = re.compile(r"[A-Z0-9]{2,30}")


@dataclass(frozen=True, slots=True)
class KlineUpdate:
    """Something that is no closed kline; it may tell exchange time."""

    event_ms: int | None


@dataclass(frozen=True, slots=True)
class SubscriptionAck:
    """The exchange took a request of ours."""

    request_id: int


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """This connection will not give more: the exchange refuses a request or shuts down."""

    why: str


@dataclass(frozen=True, slots=True)
class ClosedKline:
    """A closed kline and the exchange time at which it was sent."""

    kline: ReceivedCandle | UnreadableKline
    event_ms: int | None


Event = KlineUpdate | SubscriptionAck | ServerShutdown | ClosedKline


def stream_event(text: str, interval: str, arrival_ms: int) -> Event:
    """Return what a text of the stream says; one that cannot be read counts as an unreadable closed kline."""
    try:
        said = json.loads(text)
    except ValueError as error:
        return ClosedKline(
            UnreadableKline("", None, text.encode(), "not_json", str(error), "stream", arrival_ms),
            None,
        )
    if isinstance(said, dict) and isinstance(said.get("data"), dict):  # the combined form
        said = said["data"]
    if not isinstance(said, dict):
        said = {}
    if "error" in said or "code" in said:
        return ServerShutdown(f"the exchange refuses a request: {text[:200]}")
    if "result" in said:
        request_id = said.get("id")
        return SubscriptionAck(request_id) if isinstance(request_id, int) else KlineUpdate(None)
    if said.get("e") == "serverShutdown":
        return ServerShutdown("the exchange shuts this connection down")
    return _kline_event(text, said, interval, arrival_ms)


def _kline_event(text: str, said: dict[str, Any], interval: str, arrival_ms: int) -> Event:
    event_ms = said.get("E") if isinstance(said.get("E"), int) else None
    kline = said.get("k")
    if said.get("e") != "kline" or not isinstance(kline, dict) or kline.get("x") is not True:
        return KlineUpdate(event_ms)
    fields = {
        "symbol": kline.get("s"),
        "interval": kline.get("i"),
        "open_time_ms": kline.get("t"),
        "open": kline.get("o"),
        "high": kline.get("h"),
        "low": kline.get("l"),
        "close": kline.get("c"),
        "volume": kline.get("v"),
        "quote_volume": kline.get("q"),
        "trades": kline.get("n"),
        "taker_buy_volume": kline.get("V"),
        "taker_buy_quote_volume": kline.get("Q"),
    }
    return ClosedKline(
        _checked(fields, kline.get("T"), interval, text.encode(), "stream", arrival_ms), event_ms
    )


def rest_klines(
    symbol: str, interval: str, rows: Sequence[Any], settled_ms: int, arrival_ms: int
) -> list[ReceivedCandle | UnreadableKline]:
    """Return the settled klines of an answer of REST, whose last row is usually unfinished and does not say so.

    Args:
        symbol: asked for.
        interval: asked for.
        rows: the answer.
        settled_ms: an exchange time before the answer was made; what closed before it is final.
        arrival_ms: when the answer came.
    """
    found = [_rest_kline(symbol, interval, row, arrival_ms) for row in rows]
    step_ms = interval_ms(interval)
    settled = [kline for kline in found if (kline.open_time_ms or 0) + step_ms - 1 < settled_ms]
    # a last row that tells no time may be the unfinished one
    while settled and settled[-1].open_time_ms is None:
        settled.pop()
    return settled


def _rest_kline(
    symbol: str, interval: str, row: Any, arrival_ms: int
) -> ReceivedCandle | UnreadableKline:
    original = json.dumps(row, separators=(",", ":")).encode()
    if not isinstance(row, list) or len(row) < ROW_COLUMNS:
        message = f"a row of klines has {ROW_COLUMNS} columns, got {original[:80]!r}"
        return UnreadableKline(symbol, None, original, "bad_columns", message, "rest", arrival_ms)
    names = (
        "open_time_ms", "open", "high", "low", "close", "volume", "close_time_ms", "quote_volume", "trades",
        "taker_buy_volume", "taker_buy_quote_volume",
    )  # fmt: skip
    fields = {"symbol": symbol, "interval": interval, **dict(zip(names, row, strict=False))}
    close_ms = fields.pop("close_time_ms")
    return _checked(fields, close_ms, interval, original, "rest", arrival_ms)


def _checked(
    fields: dict[str, Any],
    close_ms: Any,
    interval: str,
    original: bytes,
    source: Source,
    arrival_ms: int,
) -> ReceivedCandle | UnreadableKline:
    try:
        _check_span(fields, close_ms, interval)
        message = build_candle_message(interval_ms(interval), **fields)
    except BadInput as error:
        symbol, time_ms = fields["symbol"], fields["open_time_ms"]
        believed = isinstance(time_ms, int) and time_ms > 0 and time_ms % interval_ms(interval) == 0
        return UnreadableKline(
            symbol if isinstance(symbol, str) and SYMBOL.fullmatch(symbol) else "",
            time_ms if believed else None,
            original,
            error.reason,
            str(error),
            source,
            arrival_ms,
        )
    return ReceivedCandle(
        message.symbol, message.open_time_ms, encode_record(message), source, arrival_ms
    )


def _check_span(fields: dict[str, Any], close_ms: Any, interval: str) -> None:
    """Refuse a kline of another interval; after an outage the exchange has shorter ones, which are candles."""
    if fields["interval"] != interval:
        raise BadInput(
            "wrong_interval",
            f"a kline of interval {fields['interval']!r} where {interval!r} was asked for",
        )
    opened = fields["open_time_ms"]
    if not isinstance(opened, int) or not isinstance(close_ms, int):
        raise BadInput(
            "bad_field",
            f"open time {opened!r} and close time {close_ms!r} must be whole milliseconds",
        )
    if not opened <= close_ms < opened + interval_ms(interval):
        raise BadInput(
            "wrong_interval",
            f"close time {close_ms} ms is not within {interval} of open time {opened} ms",
        )
