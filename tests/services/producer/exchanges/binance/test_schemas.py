import json
from typing import Any

import pytest

from services.producer.backfill.sequencer import ReceivedCandle, ReceivedKline, UnreadableKline
from services.producer.candle_log import to_producer_record
from services.producer.exchanges.binance.schemas import decode_message, decode_rest_klines
from services.producer.market.price_book import HeardPrice
from services.producer.ports import (
    ServerShutdown,
    StreamUpdate,
    SubscriptionAck,
    SubscriptionRefused,
)
from shared.adapters.schemas.klines import KlineCodec
from shared.core.records import Candle
from shared.core.topics import Topics, partition_for

STEP_MS = 300_000
START_MS = 1_735_689_600_000
TOPICS = Topics("5m", 6)
PARTITION = partition_for("BTCUSDT", 6)


def payload(**changed: Any) -> str:
    kline = {
        "t": START_MS, "T": START_MS + STEP_MS - 1, "s": "BTCUSDT", "i": "5m", "f": 1, "L": 2,
        "o": "100.0", "c": "100.50", "h": "101.0", "l": "99.5", "v": "12.5", "n": 42, "x": True,
        "q": "1250.0", "V": "6.25", "Q": "625.0", "B": "0",
    }  # fmt: skip
    return json.dumps(
        {"e": "kline", "E": START_MS + STEP_MS + 5, "s": "BTCUSDT", "k": {**kline, **changed}}
    )


def row(at: int, **changed: Any) -> list[Any]:
    open_ms = START_MS + at * STEP_MS
    columns = {
        "open_time": open_ms, "open": "100.0", "high": "101.0", "low": "99.5", "close": "100.50",
        "volume": "12.5", "close_time": open_ms + STEP_MS - 1, "quote": "1250.0", "trades": 42,
        "taker": "6.25", "taker_quote": "625.0", "unused": "0",
    }  # fmt: skip
    return list({**columns, **changed}.values())


def closed(text: str) -> ReceivedCandle | UnreadableKline:
    event = decode_message(text.encode(), "5m", 7)
    assert isinstance(event, StreamUpdate)
    assert event.kline is not None
    return event.kline


def decode(rows: list[Any]) -> list[ReceivedKline]:
    return decode_rest_klines("BTCUSDT", "5m", rows, 7)


def test_stream_and_rest_give_the_same_record_with_all_fields() -> None:
    streamed = closed(payload())
    [rest] = decode([row(0)])

    assert isinstance(streamed, ReceivedCandle)
    assert isinstance(rest, ReceivedCandle)
    assert streamed.value == rest.value
    record = to_producer_record(streamed, TOPICS, 0)
    assert record.timestamp_ms == START_MS + STEP_MS - 1
    assert (record.key, record.partition) == (b"BTCUSDT", PARTITION)
    assert record.headers == [("source", b"stream"), ("arrival_ms", b"7")]
    assert json.loads(streamed.value)["taker_buy_quote_volume"] == "625.0"
    candle = KlineCodec("5m", STEP_MS, 6).decode(streamed.value, PARTITION)
    assert candle == Candle("BTCUSDT", START_MS, 100.0, 101.0, 99.5, 100.5, 12.5, 1250.0, 42, 6.25)


def test_the_form_of_combined_streams_is_decoded() -> None:
    assert closed(f'{{"stream": "btcusdt@kline_5m", "data": {payload()}}}') == closed(payload())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (payload(x=False, i="1m"), StreamUpdate(START_MS + STEP_MS + 5)),
        ('{"result": null, "id": 7}', SubscriptionAck(7)),
        ('{"e": "trade", "E": 5}', StreamUpdate(5)),
        ("[]", StreamUpdate(None)),
    ],
)
def test_other_messages_are_recognised(text: str, expected: object) -> None:
    assert decode_message(text.encode(), "5m", 7) == expected


def test_open_and_closed_klines_tell_a_price() -> None:
    event_ms = START_MS + STEP_MS + 5
    opened = decode_message(payload(x=False).encode(), "5m", 7)
    assert opened == StreamUpdate(
        event_ms, None, HeardPrice("BTCUSDT", START_MS, 100.5, event_ms, is_close=False)
    )
    closed_update = decode_message(payload().encode(), "5m", 7)
    assert isinstance(closed_update, StreamUpdate)
    assert closed_update.price == HeardPrice("BTCUSDT", START_MS, 100.5, is_close=True)


@pytest.mark.parametrize(
    "changed",
    [{"c": "NaN"}, {"c": "0"}, {"c": 100.5}, {"c": None}, {"s": 7}, {"t": "soon"}, {"t": 10**15}],
)
def test_what_is_no_price_of_an_open_kline_is_left_out(changed: dict[str, Any]) -> None:
    assert decode_message(payload(x=False, **changed).encode(), "5m", 7) == StreamUpdate(
        START_MS + STEP_MS + 5
    )


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        ('{"code": 2, "msg": "no", "id": 7}', 7),
        ('{"error": {"code": 2}, "id": null}', None),
        ('{"code": 3, "msg": "Invalid JSON", "id": "seven"}', None),
    ],
)
def test_a_refusal_names_its_request_if_the_exchange_does(
    text: str, request_id: int | None
) -> None:
    event = decode_message(text.encode(), "5m", 7)

    assert isinstance(event, SubscriptionRefused)
    assert event.request_id == request_id
    assert text in event.reason


def test_a_shutdown_is_recognised_in_both_forms() -> None:
    for text in (b'{"e": "serverShutdown"}', b'{"stream": "!", "data": {"e": "serverShutdown"}}'):
        assert isinstance(decode_message(text, "5m", 7), ServerShutdown)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"c": "NaN"}, "bad_field"),
        ({"c": float("nan")}, "not_json"),
        ({"l": "-1.0"}, "bad_field"),
        ({"o": "0"}, "bad_price"),
        ({"h": "99.9"}, "inconsistent_prices"),
        ({"v": None}, "bad_field"),
        ({"i": "1m"}, "wrong_interval"),
        ({"T": START_MS + STEP_MS}, "wrong_interval"),
        ({"t": START_MS + 1, "T": START_MS + 2}, "off_grid"),
        ({"t": "soon"}, "bad_field"),
        ({"s": "\ud800"}, "bad_field"),
        ({"s": ["BTCUSDT"]}, "bad_field"),
    ],
)
def test_an_invalid_kline_becomes_a_dead_letter_with_its_original_bytes(
    changed: dict[str, Any], reason: str
) -> None:
    text = payload(**changed)
    kline = closed(text)

    assert isinstance(kline, UnreadableKline)
    assert kline.reason == reason
    record = to_producer_record(kline, TOPICS, 0)
    assert record.topic == "dead-letters"
    assert record.value == text.encode()
    assert dict(record.headers)["topic"] == b"exchange:stream"
    assert dict(record.headers)["reason"] == reason.encode()


@pytest.mark.parametrize(
    "text", ["", "nonsense", "{", "\x00", "[" * 100_000, '{"E": %s}' % ("9" * 5_000)]
)
def test_a_message_that_is_not_json_becomes_a_dead_letter(text: str) -> None:
    kline = closed(text)

    assert isinstance(kline, UnreadableKline)
    assert kline.reason == "not_json"
    assert to_producer_record(kline, TOPICS, 0).key is None


def test_a_shorter_candle_after_an_outage_is_a_candle() -> None:
    [kline] = decode([row(0, close_time=START_MS + 120_000)])

    assert isinstance(kline, ReceivedCandle)


def test_numbers_with_an_exponent_are_read_as_their_plain_digits() -> None:
    [rest] = decode([row(0, volume="0E-8", quote="1.2E+5")])
    streamed = closed(payload(v="0e-8", q="12E4"))

    assert isinstance(rest, ReceivedCandle)
    assert isinstance(streamed, ReceivedCandle)
    for candle in (rest, streamed):
        fields = json.loads(candle.value)
        assert (fields["volume"], fields["quote_volume"]) == ("0.00000000", "120000")


@pytest.mark.parametrize("volume", ["1E+999999999", "E5", "1E", "-1E2", "1E-40", 12.5, None])
def test_other_numbers_are_no_candle(volume: object) -> None:
    assert isinstance(closed(payload(v=volume)), UnreadableKline)


def test_a_row_off_the_grid_or_without_columns_keeps_its_time() -> None:
    off_grid, short = decode([row(0, open_time=START_MS + 14_789), row(1)[:5]])

    assert isinstance(off_grid, UnreadableKline)
    assert off_grid.open_time_ms == START_MS + 14_789
    assert isinstance(short, UnreadableKline)
    assert short.open_time_ms == START_MS + STEP_MS
