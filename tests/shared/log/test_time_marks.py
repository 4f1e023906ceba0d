"""Times are found in a log whose candles do not all lie in the order of time."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.core.topics import partition_for
from shared.log.kline_writer import KlineWriter
from shared.log.klines_reader import KlinesReader
from shared.log.predictions_reader import find_source
from shared.log.time_marks import (
    MARK_EVERY,
    MOST_UNMARKED,
    TIME_MARK,
    TimeMarker,
    UnmarkedLog,
    find_offset,
    read_newest_ms,
)
from tests.support.builders import START_MS, STEP_MS, candle_bytes
from tests.support.deployment import Deployment
from tests.support.fakes import FakeTopicHistory
from tests.support.partition_log import SHORT, process_all, topic_of

TOPIC = "klines.5m"


def to_write(times_ms: Sequence[int]) -> list[ProducerRecord]:
    return [ProducerRecord(TOPIC, 0, b"AAAUSDT", b"{}", time_ms) for time_ms in times_ms]


def topic_with(records: Sequence[ProducerRecord]) -> FakeTopicHistory:
    return FakeTopicHistory(
        [
            ConsumerRecord(0, at, r.timestamp_ms, r.key, r.value, dict(r.headers))
            for at, r in enumerate(records)
        ]
    )


def runs(lengths: Sequence[int], starts: Sequence[int]) -> list[int]:
    """Return the times of imports one after another, each in order of time."""
    return [
        start + at for length, start in zip(lengths, starts, strict=True) for at in range(length)
    ]


@given(
    starts=st.lists(st.integers(0, 6_000), min_size=1, max_size=4),
    length=st.integers(1, 2_500),
    time_ms=st.integers(0, 9_000),
    restarts=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_all_records_before_the_offset_of_a_time_are_older_and_few_behind_it_are(
    starts: list[int], length: int, time_ms: int, restarts: bool
) -> None:
    times = runs([length] * len(starts), starts)
    marker = TimeMarker(TOPIC, {0: -1})
    records = marker.mark(to_write(times[:length]))
    if restarts:
        marker = TimeMarker(TOPIC, {0: read_newest_ms(topic_with(records), 0) or 0})
    records += marker.mark(to_write(times[length:]))

    found = find_offset(topic_with(records), 0, time_ms)

    first = next((at for at, each in enumerate(times) if each >= time_ms), len(times))
    assert first - 2 * MARK_EVERY <= found <= first


def test_the_newest_time_is_known_from_the_last_mark_and_what_follows_it() -> None:
    times = runs([3_000, 2_500], [5_000, 0])
    records = TimeMarker(TOPIC, {0: -1}).mark(to_write(times))

    assert read_newest_ms(topic_with(records), 0) == 7_999
    assert read_newest_ms(topic_with(to_write(times)), 0) == 7_999  # read to its beginning
    assert read_newest_ms(topic_with([]), 0) == -1


def test_a_long_log_without_marks_is_said_to_have_none_and_gets_none() -> None:
    unmarked = topic_with(to_write(range(2 * MOST_UNMARKED + 10)))

    assert read_newest_ms(unmarked, 0) is None
    with pytest.raises(UnmarkedLog):
        find_offset(unmarked, 0, 5)
    marker = TimeMarker(TOPIC, {})
    copied = [ProducerRecord(TOPIC, 0, None, b"{}", 5, [(TIME_MARK, b"9"), ("source", b"rest")])]
    assert marker.mark(copied)[0].headers == [("source", b"rest")]


def test_only_records_of_the_topic_are_marked_and_a_mark_from_elsewhere_is_replaced() -> None:
    marker = TimeMarker(TOPIC, {0: 7})
    letter = ProducerRecord("dead-letters", 0, None, b"", 99)
    copied = ProducerRecord(TOPIC, 0, None, b"{}", 5, [(TIME_MARK, b"9000")])

    marked = marker.mark([letter, copied, copied])

    assert marked[0] is letter
    assert [record.headers for record in marked[1:]] == [[(TIME_MARK, b"7")], []]


@pytest.mark.parametrize("wanted", [0, 3, 5_000, 9_999, 20_000])
def test_predictions_are_found_by_the_offset_of_their_candle(wanted: int) -> None:
    one = process_all(SHORT).predictions[-1]
    history = topic_of([replace(one, source_offset=2 * at) for at in range(5_000)])

    found = find_source(history, 0, wanted)

    first = min((wanted + 1) // 2, 5_000)
    assert first - 500 <= found <= first


@pytest.mark.integration
def test_a_time_is_found_in_history_that_is_imported_today(deployment: Deployment) -> None:
    """The marks that end transactions have the time of day: Kafka finds its first one."""
    symbol, topics = "AAAUSDT", deployment.topics
    partition = partition_for(symbol, deployment.partitions)
    records = [
        ProducerRecord(
            topics.klines,
            partition,
            symbol.encode(),
            candle_bytes(at, symbol),
            START_MS + (at + 1) * STEP_MS - 1,
        )
        for at in range(6_000)
    ]
    for half in (records[:3_000], records[3_000:]):
        writer = KlineWriter(deployment.kafka, topics)
        writer.write(half)
        writer.close()
    deployment.await_settled(topics.klines, partition)
    time_ms = START_MS + 5_000 * STEP_MS

    with Reader(deployment.kafka, topics.klines) as by_kafka:
        assert by_kafka.offset_at(partition, time_ms) < 3_500
    with KlinesReader(deployment.kafka, topics) as reader:
        start = reader.offset_at(partition, time_ms)
        first = next(iter(reader.read(partition, start)))[0]

    assert 3_000 < first.offset <= 5_001
    assert first.timestamp_ms < time_ms + STEP_MS
