"""Validate the klines of an exchange: the part that all exchanges share. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.producer.records import SYMBOL_PATTERN
from services.producer.sequencer import ReceivedCandle, ReceivedKline, Source, UnreadableKline
from shared.adapters.schemas.klines import build_candle_message, encode_record
from shared.core.errors import BadInput
from shared.core.topics import interval_ms


@dataclass(frozen=True, slots=True)
class KlineOrigin:
    """Where a kline came from: its original bytes, the source, the arrival time."""

    original: bytes
    source: Source
    arrival_ms: int


def validate_kline(
    fields: dict[str, Any], close_time_ms: Any, interval: str, origin: KlineOrigin
) -> ReceivedKline:
    """Check a closed kline; return it as a candle, or as unreadable with the reason.

    Args:
        fields: the fields of a candle message in `shared/adapters/schemas/klines.py`, not checked.
        close_time_ms: the last millisecond of the kline, not checked.
        interval: the interval that was requested.
        origin: where the kline came from.
    """
    try:
        _check_span(fields, close_time_ms, interval)
        message = build_candle_message(interval_ms(interval), **fields)
    except BadInput as error:
        symbol, open_ms = fields["symbol"], fields["open_time_ms"]
        return UnreadableKline(
            symbol if isinstance(symbol, str) and SYMBOL_PATTERN.fullmatch(symbol) else "",
            open_ms if _is_open_time(open_ms, interval) else None,
            origin.original,
            error.reason,
            str(error),
            origin.source,
            origin.arrival_ms,
        )
    return ReceivedCandle(
        message.symbol,
        message.open_time_ms,
        encode_record(message),
        origin.source,
        origin.arrival_ms,
    )


def settled_klines(
    klines: Sequence[ReceivedKline], interval: str, settled_ms: int
) -> list[ReceivedKline]:
    """Return the klines of a REST response that are final.

    The last row of a response is usually unfinished, and exchanges do not mark it.

    Args:
        klines: the rows of the response, ascending.
        interval: the interval requested.
        settled_ms: a time of the exchange before the response was made; what had closed by then is
            final.
    """
    duration_ms = interval_ms(interval)
    settled = [
        kline for kline in klines if (kline.open_time_ms or 0) + duration_ms - 1 < settled_ms
    ]
    # A last row without a time may be the unfinished one.
    while settled and settled[-1].open_time_ms is None:
        settled.pop()
    return settled


def _is_open_time(value: Any, interval: str) -> bool:
    return isinstance(value, int) and value > 0 and value % interval_ms(interval) == 0


def _check_span(fields: dict[str, Any], close_ms: Any, interval: str) -> None:
    """Refuse a kline of another interval; one cut short by an outage is accepted."""
    if fields["interval"] != interval:
        raise BadInput(
            "wrong_interval", f"the interval is {fields['interval']!r}, requested was {interval!r}"
        )
    open_ms = fields["open_time_ms"]
    if not isinstance(open_ms, int) or not isinstance(close_ms, int):
        raise BadInput(
            "bad_field",
            f"open time {open_ms!r} and close time {close_ms!r} must be whole milliseconds",
        )
    if not open_ms <= close_ms < open_ms + interval_ms(interval):
        raise BadInput(
            "wrong_interval",
            f"close time {close_ms} ms is not within {interval} of open time {open_ms} ms",
        )
