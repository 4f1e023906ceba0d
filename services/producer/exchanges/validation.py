"""Validate the klines of an exchange: the part that all exchanges share. PURE."""

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from services.producer.backfill.sequencer import (
    KlineOrigin,
    ReceivedCandle,
    ReceivedKline,
    UnreadableKline,
)
from services.producer.market.price_book import HeardPrice
from shared.adapters.schemas import wire
from shared.adapters.schemas.kline_messages import build_candle_message
from shared.adapters.schemas.klines import encode_record
from shared.core.decimal_text import to_plain_decimal
from shared.core.errors import BadInput
from shared.core.symbols import is_symbol
from shared.core.topics import interval_ms

_NO_NUMBERS: Final = {"symbol", "interval"}


def validate_kline(
    fields: dict[str, Any], close_time_ms: Any, interval: str, origin: KlineOrigin
) -> ReceivedKline:
    """Check a closed kline; return it as a candle, or as unreadable with the reason.

    Args:
        fields: the fields of `CandleMessage` in `shared/adapters/schemas/kline_messages.py`, not
            checked.
        close_time_ms: the last millisecond of the kline, not checked.
        interval: the interval that was requested.
        origin: where the kline came from.
    """
    duration_ms = interval_ms(interval)
    try:
        _check_span(fields, close_time_ms, interval)
        message = build_candle_message(duration_ms, **_without_exponents(fields))
    except BadInput as error:
        symbol, open_ms = fields["symbol"], fields["open_time_ms"]
        if not (isinstance(symbol, str) and is_symbol(symbol)):
            symbol = ""
        return UnreadableKline(symbol, known_time_ms(open_ms), error.reason, str(error), origin)
    value, close = encode_record(message), float(message.close)
    return ReceivedCandle(
        message.symbol, message.open_time_ms, close, value, origin.source, origin.arrival_ms
    )


def is_final(open_time_ms: Any, interval: str, event_ms: int | None) -> bool:
    """Return whether a kline that the stream calls closed was announced at or after its end.

    One that is announced earlier has a price, but not its last. One without a valid open time is
    left to `validate_kline`.
    """
    if not isinstance(open_time_ms, int):
        return True
    return event_ms is not None and event_ms >= open_time_ms + interval_ms(interval) - 1


def known_time_ms(value: Any) -> int | None:
    """Return a time in milliseconds, also one off the grid; None if the value is none.

    >>> known_time_ms(1_735_689_614_789), known_time_ms(1.5e12), known_time_ms("soon")
    (1735689614789, 1500000000000, None)
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= wire.LAST_MS:
        return None
    return int(value) if value == int(value) else None


def closing_price(kline: ReceivedKline) -> HeardPrice | None:
    """Return the price in a closed kline of the stream; None if it was not readable."""
    if isinstance(kline, UnreadableKline):
        return None
    return HeardPrice(kline.symbol, kline.open_time_ms, kline.close, is_close=True)


def open_price(symbol: Any, open_time_ms: Any, price: Any, event_ms: Any) -> HeardPrice | None:
    """Return the newest price in an open kline of the stream; None if it was not readable.

    Args:
        symbol: the symbol, not checked.
        open_time_ms: open time of the kline in milliseconds, not checked.
        price: its newest price as a decimal string, not checked.
        event_ms: the exchange's time of the message, not checked.
    """
    is_whole = isinstance(open_time_ms, int) and isinstance(event_ms, int)
    if not isinstance(symbol, str) or not isinstance(price, str) or not is_whole:
        return None
    # A time that is far ahead would make every other price look old.
    if not 0 < open_time_ms <= event_ms:
        return None
    try:
        number = float(price)
    except ValueError:
        return None
    return HeardPrice(symbol, open_time_ms, number, event_ms) if 0 < number < inf else None


def _without_exponents(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with plain digits where an exchange writes 0E-8 or 1.2E+5."""
    numbers = fields.keys() - _NO_NUMBERS
    return {
        name: to_plain_decimal(value) if name in numbers and isinstance(value, str) else value
        for name, value in fields.items()
    }


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
