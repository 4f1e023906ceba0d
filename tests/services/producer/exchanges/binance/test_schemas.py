import json
from typing import Any

import pytest

from services.producer.exchanges.binance.schemas import (
    ClosedKline,
    KlineUpdate,
    ServerShutdown,
    SubscriptionAck,
    rest_klines,
    stream_event,
)
from services.producer.records import to_producer_records
from services.producer.sequencer import ReceivedCandle, UnreadableKline
from shared.adapters.schemas import KlineCodec
from shared.core.records import Candle
from shared.core.topics import Topics, partition_for

STEP_MS = 300_000
START_MS = 1_735_689_600_000
TOPICS = Topics("5m", 6)
GROUP = partition_for("BTCUSDT", 6)


def payload(**changed: Any) -> str:
    kline = {
        "t": START_MS, "T": START_MS + STEP_MS - 1, "s": "BTCUSDT", "i": "5m", "f": 1, "L": 2, "o": "100.0",
        "c": "100.50", "h": "101.0", "l": "99.5", "v": "12.5", "n": 42, "x": True, "q": "1250.0", "V": "6.25",
        "Q": "625.0", "B": "0",
    }  # fmt: skip
    return json.dumps(
        {"e": "kline", "E": START_MS + STEP_MS + 5, "s": "BTCUSDT", "k": {**kline, **changed}}
    )


def row(at: int, **changed: Any) -> list[Any]:
    opens = START_MS + at * STEP_MS
    columns = {
        "opens": opens, "open": "100.0", "high": "101.0", "low": "99.5", "close": "100.50", "volume": "12.5",
        "closes": opens + STEP_MS - 1, "quote": "1250.0", "trades": 42, "taker": "6.25", "taker_quote": "625.0",
        "ignored": "0",
    }  # fmt: skip
    return list({**columns, **changed}.values())


def closed(text: str) -> ReceivedCandle | UnreadableKline:
    event = stream_event(text, "5m", 7)
    assert isinstance(event, ClosedKline)
    return event.kline


def test_a_closed_kline_of_the_stream_and_of_rest_are_the_same_record_with_all_their_fields() -> (
    None
):
    streamed = closed(payload())
    [rested] = rest_klines("BTCUSDT", "5m", [row(0)], START_MS + STEP_MS, 7)

    assert isinstance(streamed, ReceivedCandle)
    assert isinstance(rested, ReceivedCandle)
    assert streamed.value == rested.value
    record = to_producer_records(streamed, TOPICS, 0)
    assert record.timestamp_ms == START_MS + STEP_MS - 1
    assert (record.key, record.partition) == (b"BTCUSDT", GROUP)
    assert record.headers == [("source", b"stream"), ("arrival_ms", b"7")]
    assert json.loads(streamed.value)["taker_buy_quote_volume"] == "625.0"
    candle = KlineCodec("5m", STEP_MS, 6).decode(streamed.value, GROUP)
    assert candle == Candle("BTCUSDT", START_MS, 100.0, 101.0, 99.5, 100.5, 12.5)


def test_the_combined_form_is_understood() -> None:
    assert closed(f'{{"stream": "btcusdt@kline_5m", "data": {payload()}}}') == closed(payload())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (payload(x=False), KlineUpdate(START_MS + STEP_MS + 5)),
        ('{"result": null, "id": 7}', SubscriptionAck(7)),
        ('{"e": "trade", "E": 5}', KlineUpdate(5)),
        ("[]", KlineUpdate(None)),
    ],
)
def test_what_is_no_closed_kline_is_told_apart(text: str, expected: object) -> None:
    assert stream_event(text, "5m", 7) == expected


@pytest.mark.parametrize(
    "text", ['{"code": 2, "msg": "no"}', '{"error": {"code": 2}}', '{"e": "serverShutdown"}']
)
def test_a_refusal_and_a_shutdown_end_the_connection(text: str) -> None:
    assert isinstance(stream_event(text, "5m", 7), ServerShutdown)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"c": "NaN"}, "bad_field"),
        ({"c": float("nan")}, "bad_field"),
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
def test_an_impossible_kline_becomes_a_dead_letter_with_its_original_bytes(
    changed: dict[str, Any], reason: str
) -> None:
    text = payload(**changed)
    found = closed(text)

    assert isinstance(found, UnreadableKline)
    assert found.reason == reason
    letter = to_producer_records(found, TOPICS, 0)
    assert letter.topic == "dead-letters"
    assert letter.value == text.encode()
    assert dict(letter.headers)["topic"] == b"exchange:stream"
    assert dict(letter.headers)["reason"] == reason.encode()


@pytest.mark.parametrize("text", ["", "nonsense", "{", "\x00"])
def test_a_text_that_is_not_json_becomes_a_dead_letter(text: str) -> None:
    found = closed(text)

    assert isinstance(found, UnreadableKline)
    assert found.reason == "not_json"
    assert to_producer_records(found, TOPICS, 0).key is None


def test_a_row_that_was_not_closed_when_exchange_time_was_asked_for_is_left_out() -> None:
    found = rest_klines("BTCUSDT", "5m", [row(0), row(1)], START_MS + STEP_MS, 7)

    assert [kline.open_time_ms for kline in found] == [START_MS]


def test_a_shorter_candle_after_an_outage_is_a_candle() -> None:
    [found] = rest_klines(
        "BTCUSDT", "5m", [row(0, closes=START_MS + 120_000)], START_MS + STEP_MS, 7
    )

    assert isinstance(found, ReceivedCandle)


def test_a_last_row_without_a_time_may_be_the_open_one_and_counts_for_nothing() -> None:
    found = rest_klines(
        "BTCUSDT", "5m", [row(0), row(1, opens=None), row(2), "nonsense"], START_MS + 9 * STEP_MS, 7
    )

    assert [kline.open_time_ms for kline in found] == [START_MS, None, START_MS + 2 * STEP_MS]
