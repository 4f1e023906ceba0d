"""Which dead letters can be redriven, and into which record."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.redrive.decision import (
    LogPositions,
    RedriveResult,
    RedriveStatus,
    decide_all,
    to_candidate,
)
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.schemas.dead_letters import DeadLetter, dead_letter_headers, decode_dead_letter
from shared.adapters.schemas.kline_messages import PromotionMessage
from shared.adapters.schemas.klines import KlineCodec, encode_gap, encode_record, encode_status
from shared.core.errors import BadInput
from shared.core.records import Gap, SymbolStatus
from shared.core.topics import Topics, partition_for
from tests.support.builders import START_MS, STEP_MS, candle_bytes

PARTITIONS = 2
SYMBOL = "BTCUSDT"
PARTITION = partition_for(SYMBOL, PARTITIONS)
WRONG = 1 - PARTITION
TOPICS = Topics("5m", PARTITIONS)
CODEC = KlineCodec("5m", STEP_MS, PARTITIONS)
PROMOTION = encode_record(
    PromotionMessage(
        type="promotion", model_version="v1", bundle_sha256="0" * 64, numeric_profile="1-abc"
    )
)
DELISTED = encode_status(SymbolStatus(SYMBOL, START_MS, "delisted", "listed no more"), "5m")


def gap_bytes(start: int, stop: int) -> bytes:
    starts_ms, ends_ms = START_MS + start * STEP_MS, START_MS + stop * STEP_MS
    return encode_gap(Gap(SYMBOL, starts_ms, ends_ms), "5m")


def a_dead_letter(
    value: bytes,
    offset: int = 7,
    key: bytes = SYMBOL.encode(),
    partition: int = WRONG,
    topic: str = "klines.5m",
) -> DeadLetter:
    return DeadLetter(topic, partition, offset, key, value, "wrong_group", "as it was")


def decide(log: Sequence[bytes], dead_letters: Sequence[DeadLetter]) -> list[RedriveResult]:
    candidates = [to_candidate(dead_letter, TOPICS, CODEC) for dead_letter in dead_letters]
    positions = LogPositions(STEP_MS, frozenset(one.identity for one in candidates), {})
    for offset, value in enumerate(log):
        positions.add(offset, CODEC.decode(value, PARTITION))
    return decide_all(candidates, positions, TOPICS.klines, 5)


LOG = [candle_bytes(0), candle_bytes(1), gap_bytes(2, 4), candle_bytes(4)]


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        (candle_bytes(5), RedriveStatus.READY, ""),
        (gap_bytes(5, 7), RedriveStatus.READY, ""),
        (candle_bytes(6), RedriveStatus.REFUSED, "too_early"),
        (gap_bytes(6, 7), RedriveStatus.REFUSED, "too_early"),
        (candle_bytes(4), RedriveStatus.IN_LOG, "duplicate"),
        (gap_bytes(2, 4), RedriveStatus.IN_LOG, "duplicate"),
        (candle_bytes(4, close="99.0"), RedriveStatus.REFUSED, "contradiction"),
        (candle_bytes(3), RedriveStatus.READY, ""),
        (candle_bytes(-1), RedriveStatus.REFUSED, "out_of_order"),
        (gap_bytes(2, 3), RedriveStatus.REFUSED, "out_of_order"),
    ],
)
def test_only_the_record_that_comes_next_or_is_missing_in_a_gap_is_redriven(
    value: bytes, status: RedriveStatus, reason: str
) -> None:
    (result,) = decide(LOG, [a_dead_letter(value)])

    assert (result.status, result.reason) == (status, reason)
    assert (result.record is not None) == (status is RedriveStatus.READY)


def test_a_candle_of_a_gap_is_redriven_as_a_fill_once() -> None:
    spaced = candle_bytes(3).replace(b'":"', b'": "')
    first, other = a_dead_letter(spaced), a_dead_letter(candle_bytes(3, close="99.0"), 8)

    results = decide(LOG, [first, first, other])

    statuses = [RedriveStatus.READY, RedriveStatus.IN_LOG, RedriveStatus.REFUSED]
    assert [result.status for result in results] == statuses
    assert results[0].record is not None
    assert results[0].record.value == candle_bytes(3, type="fill")
    again = decide([*LOG, candle_bytes(3, type="fill")], [first])
    assert [result.status for result in again] == [RedriveStatus.IN_LOG]


def test_the_gaps_of_a_symbol_that_has_ended_are_filled_no_more() -> None:
    (result,) = decide([*LOG, DELISTED], [a_dead_letter(candle_bytes(3))])

    assert result.reason == "out_of_order"


def test_a_contradiction_explains_that_only_an_amendment_changes_a_candle() -> None:
    (result,) = decide(LOG, [a_dead_letter(candle_bytes(4, close="99.0"))])

    assert "amendment" in result.message
    assert "offset 3" in result.message


def test_a_record_that_this_version_reads_in_its_place_is_in_the_log() -> None:
    (result,) = decide(LOG, [a_dead_letter(candle_bytes(4), offset=3, partition=PARTITION)])

    assert result.status is RedriveStatus.IN_LOG
    assert "this version reads it there" in result.message


def test_a_stale_candle_at_the_end_of_the_log_does_not_move_its_symbol_back() -> None:
    log = [candle_bytes(at) for at in (0, 1, 2, 0)]

    assert [
        result.reason for result in decide(log, [a_dead_letter(candle_bytes(1, close="99.0"))])
    ] == ["contradiction"]
    assert [result.status for result in decide(log, [a_dead_letter(candle_bytes(3))])] == [
        RedriveStatus.READY
    ]


def test_a_symbol_that_the_log_has_nothing_of_begins_with_a_candle() -> None:
    assert [result.reason for result in decide([], [a_dead_letter(gap_bytes(0, 1))])] == [
        "too_early"
    ]
    assert [result.status for result in decide([], [a_dead_letter(candle_bytes(3))])] == [
        RedriveStatus.READY
    ]


def test_a_redriven_record_has_its_own_bytes_its_close_as_time_and_its_place_in_a_header() -> None:
    (result,) = decide(LOG, [a_dead_letter(candle_bytes(5))])

    close_ms = START_MS + 6 * STEP_MS - 1
    headers = [
        ("source", b"dead-letter"),
        ("arrival_ms", b"5"),
        ("replayed-from", b"klines.5m/%d/7" % WRONG),
    ]
    assert result.record == ProducerRecord(
        "klines.5m", PARTITION, SYMBOL.encode(), candle_bytes(5), close_ms, headers
    )


@given(st.permutations(range(2, 9)), st.sets(st.integers(2, 8)))
def test_in_any_order_of_dead_letters_the_log_stays_whole_and_nothing_is_redriven_twice(
    order: list[int], lost: set[int]
) -> None:
    log = [candle_bytes(0), candle_bytes(1)]
    dead_letters = [
        a_dead_letter(candle_bytes(at), at) for at in [*order, *order] if at not in lost
    ]

    sent = [result.record for result in decide(log, dead_letters) if result.record is not None]

    whole = next((at for at in range(2, 9) if at in lost), 9)
    assert [record.value for record in sent] == [candle_bytes(at) for at in range(2, whole)]
    again = decide([*log, *(record.value or b"" for record in sent)], dead_letters)
    assert all(result.status is not RedriveStatus.READY for result in again)


@pytest.mark.parametrize(
    ("dead_letter", "reason", "advice"),
    [
        (a_dead_letter(b"{nonsense"), "not_json", "JSON"),
        (a_dead_letter(candle_bytes(0, open_time_ms=START_MS + 1)), "off_grid", "multiple"),
        (a_dead_letter(candle_bytes(0, high="1.0")), "inconsistent_prices", "high"),
        (a_dead_letter(candle_bytes(0, interval="1m")), "wrong_interval", "own topic"),
        (a_dead_letter(candle_bytes(0), key=b"other"), "wrong_key", "under its symbol"),
        (a_dead_letter(candle_bytes(0), key=b"BTCUSDT\xff"), "wrong_key", "under its symbol"),
        (a_dead_letter(candle_bytes(0, type="amendment")), "correction", "publish it anew"),
        (a_dead_letter(candle_bytes(0, type="fill")), "correction", "publish it anew"),
        (a_dead_letter(DELISTED), "status", "ulstm symbols"),
        (a_dead_letter(PROMOTION, key=b"promotion"), "promotion", "models promote v1"),
        (a_dead_letter(b"[1]", topic="exchange:rest"), "other_topic", "producer asks REST"),
        (a_dead_letter(candle_bytes(0), topic="klines.1m"), "other_topic", "INTERVAL"),
    ],
)
def test_what_readers_would_reject_again_is_refused_with_advice(
    dead_letter: DeadLetter, reason: str, advice: str
) -> None:
    with pytest.raises(BadInput, match=advice) as refusal:
        to_candidate(dead_letter, TOPICS, CODEC)

    assert refusal.value.reason == reason


def test_a_dead_letter_survives_its_headers() -> None:
    dead_letter = a_dead_letter(b"\xff")

    assert (
        decode_dead_letter(
            dict(dead_letter_headers(dead_letter)), dead_letter.key, dead_letter.value
        )
        == dead_letter
    )
    assert decode_dead_letter({"offset": b"-1", "reason": b"\xff"}, None, None) == (
        DeadLetter("", -1, -1, None, None, "\\xff", "")
    )
