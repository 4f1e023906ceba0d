from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, TopicPartition

from tests.conformance.harness import (
    WAIT_S,
    ClientHarness,
    describe_error,
    error_of,
    is_partition_end,
    text,
)

OUT_OF_RANGE = ("_AUTO_OFFSET_RESET", "plain")
UNKNOWN_PARTITION = ("_UNKNOWN_PARTITION", "plain")


def abort_record(harness: ClientHarness, topic: str, value: str) -> None:
    producer = harness.producer()
    producer.begin_transaction()
    harness.write(producer, topic, value)
    producer.abort_transaction()
    harness.await_settled(topic)


def assigned_consumer(harness: ClientHarness, topic: str, start: int, **config: Any) -> Consumer:
    consumer = harness.consumer(**config)
    consumer.assign([TopicPartition(topic, 0, start)])
    return consumer


# --- records --------------------------------------------------------------------------------------


def test_a_record_comes_out_as_it_went_in(harness: ClientHarness) -> None:
    topic = harness.topic()
    headers: list[tuple[str, str | bytes | None]] = [("b", b"1"), ("a", b"\xff\x00"), ("b", b"2")]
    producer = harness.producer()
    producer.begin_transaction()
    producer.produce(
        topic,
        value=b"\x00\xff",
        key=b"key",
        partition=0,
        timestamp=1_500_000_000_123,
        headers=headers,
    )
    producer.produce(topic, value=None, key=None, partition=0, timestamp=1)
    producer.produce(topic, value=b"", key=b"", partition=0, timestamp=2)
    producer.commit_transaction()
    harness.await_settled(topic)
    full, none, empty, _ = harness.read(topic)

    assert (full.key(), full.value(), full.headers()) == (b"key", b"\x00\xff", headers)
    assert full.timestamp()[1] == 1_500_000_000_123
    assert (none.key(), none.value(), none.headers(), none.timestamp()[1]) == (None, None, None, 1)
    assert (empty.key(), empty.value()) == (b"", b"")
    assert [m.offset() for m in (full, none, empty)] == [0, 1, 2]
    assert (full.topic(), full.partition()) == (topic, 0)


def test_each_partition_comes_in_the_order_of_its_offsets(harness: ClientHarness) -> None:
    topic = harness.topic(3)
    for value in ("a", "b", "c"):
        for partition in range(3):
            harness.publish(topic, value, partition=partition)
    consumer = harness.consumer()
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(3)])
    found = harness.poll_until(consumer, lambda messages: sum(map(is_partition_end, messages)) == 3)
    values = {
        p: [text(m) for m in found if m.partition() == p and not is_partition_end(m)]
        for p in range(3)
    }

    assert values == {p: ["a", "b", "c"] for p in range(3)}


def test_at_the_end_a_reader_waits_and_then_gets_what_comes(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a")
    consumer = assigned_consumer(harness, topic, harness.ends(topic)[1])
    assert harness.stays_silent(consumer)

    harness.publish(topic, "b")
    found = harness.poll_until(
        consumer, lambda messages: any(not is_partition_end(m) for m in messages)
    )
    assert text(found[-1]) == "b"


def test_several_messages_can_be_taken_at_once_but_no_more_than_asked_for(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b", "c")
    consumer = assigned_consumer(harness, topic, 0, enable_partition_eof=False)
    first = consumer.poll(WAIT_S)
    assert first is not None

    assert [text(m) for m in (first, *consumer.consume(1, timeout=WAIT_S))] == ["a", "b"]
    assert [text(m) for m in consumer.consume(9, timeout=0.0)] == ["c"]
    assert consumer.consume(9, timeout=0.0) == []


# --- the end of a partition -----------------------------------------------------------------------


def test_the_end_of_an_empty_partition_is_reported(harness: ClientHarness) -> None:
    (end,) = harness.read(harness.topic())

    assert (is_partition_end(end), end.offset()) == (True, 0)


def test_the_end_is_reported_with_the_offset_after_the_last_marker(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a")
    *_, end = harness.read(topic)

    assert (end.topic(), end.partition(), end.offset()) == (topic, 0, 2)


def test_the_end_is_reported_beyond_a_tail_of_aborted_records(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a")
    abort_record(harness, topic, "never seen")
    *records, end = harness.read(topic)

    assert [text(m) for m in records] == ["a"]
    assert end.offset() == 4


def test_the_end_is_reported_again_after_every_further_transaction_even_if_it_was_aborted(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    consumer = assigned_consumer(harness, topic, 0)
    ends = [harness.poll_until(consumer, lambda found: found)[-1].offset()]
    abort_record(harness, topic, "never seen")
    ends.append(
        harness.poll_until(consumer, lambda found: found and found[-1].offset() == 2)[-1].offset()
    )
    harness.publish(topic, "a")
    record, *_, end = harness.poll_until(
        consumer, lambda found: found and is_partition_end(found[-1])
    )

    assert ends == [0, 2]
    assert (text(record), end.offset()) == ("a", 4)


def test_with_a_transaction_open_the_end_is_where_that_began(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a")
    producer = harness.producer()
    producer.begin_transaction()
    harness.write(producer, topic, "open")
    *_, end = harness.read(topic)

    assert end.offset() == 2


# --- where to read --------------------------------------------------------------------------------


def test_seeking_goes_back_and_forth(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b", "c")
    consumer = assigned_consumer(harness, topic, 0)
    harness.poll_until(consumer, lambda found: found and is_partition_end(found[-1]))
    consumer.seek(TopicPartition(topic, 0, 1))
    back = harness.poll_until(consumer, lambda found: found and is_partition_end(found[-1]))

    assert [text(m) for m in back[:-1]] == ["b", "c"]


def test_seeking_where_nothing_is_assigned_is_refused(harness: ClientHarness) -> None:
    consumer = harness.consumer()

    code, how = error_of(lambda: consumer.seek(TopicPartition(harness.topic(), 0, 1)))
    assert code in {"_UNKNOWN_PARTITION", "_STATE"}
    assert how == "plain"


def test_the_beginning_and_the_end_have_names(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b")

    assert [text(m) for m in harness.read(topic, start=OFFSET_BEGINNING)[:-1]] == ["a", "b"]
    assert [m.offset() for m in harness.read(topic, start=OFFSET_END)] == [3]


@pytest.mark.parametrize("beyond", [1, 100])
def test_beyond_the_log_a_reader_gets_one_error_and_then_nothing(
    harness: ClientHarness, beyond: int
) -> None:
    topic = harness.topic()
    harness.publish(topic, "a")
    consumer = assigned_consumer(harness, topic, 2 + beyond)
    (event,) = harness.poll_until(consumer, lambda found: found)

    assert describe_error(event.error()) == OUT_OF_RANGE
    assert (event.partition(), event.offset()) == (0, 2 + beyond)
    harness.publish(topic, *"bcd")
    assert harness.stays_silent(consumer)


def test_a_reader_without_an_offset_gets_an_error(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a")
    consumer = harness.consumer(harness.new_name())
    consumer.assign([TopicPartition(topic, 0)])
    (event,) = harness.poll_until(consumer, lambda found: found)

    assert describe_error(event.error()) == OUT_OF_RANGE


def test_between_the_last_stable_offset_and_the_end_of_the_log_a_reader_waits(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    older = harness.producer()
    older.begin_transaction()
    harness.write(older, topic, "older")
    later = harness.producer()
    later.begin_transaction()
    harness.write(later, topic, "later")
    later.commit_transaction()
    consumer = assigned_consumer(harness, topic, 1)
    assert harness.stays_silent(consumer)

    older.commit_transaction()
    found = harness.poll_until(consumer, lambda messages: messages)
    assert text(found[0]) == "later"


# --- questions ------------------------------------------------------------------------------------


def test_a_time_is_found_at_the_first_record_of_it_or_later_and_markers_have_the_brokers_time(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    producer = harness.producer()
    producer.begin_transaction()
    for time_ms in (1000, 2000, 2000, 5000):
        producer.produce(topic, value=b"x", partition=0, timestamp=time_ms)
    producer.commit_transaction()
    harness.await_settled(topic)

    assert [offset_at(harness, topic, time_ms) for time_ms in (500, 1000, 1001, 2000, 2001)] == [
        0,
        0,
        1,
        1,
        3,
    ]
    assert offset_at(harness, topic, 5001) == 4
    assert offset_at(harness, topic, 10**14) == OFFSET_END
    assert offset_at(harness, harness.topic(), 0) == OFFSET_END


def test_a_time_is_not_found_in_a_transaction_that_is_open(harness: ClientHarness) -> None:
    topic = harness.topic()
    producer = harness.producer()
    producer.begin_transaction()
    producer.produce(topic, value=b"x", partition=0, timestamp=1000)
    producer.flush(WAIT_S)

    assert offset_at(harness, topic, 1000) == OFFSET_END
    producer.commit_transaction()
    harness.await_settled(topic)
    assert offset_at(harness, topic, 1000) == 0


def offset_at(harness: ClientHarness, topic: str, time_ms: int) -> int:
    consumer = harness.consumer()
    (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, time_ms)], timeout=WAIT_S)
    harness.close(consumer)
    return int(found.offset)


def test_a_topic_says_how_many_partitions_it_has_and_one_that_is_not_there_has_none(
    harness: ClientHarness,
) -> None:
    assert harness.partitions(harness.topic(3)) == 3
    assert harness.partitions("no-such-topic") == 0


@pytest.mark.parametrize("there", [True, False])
def test_ends_and_times_of_a_place_that_is_not_there_are_refused(
    harness: ClientHarness, there: bool
) -> None:
    topic, partition = (harness.topic(), 7) if there else ("no-such-topic", 0)
    consumer = harness.consumer()
    place = TopicPartition(topic, partition, 0)

    assert (
        error_of(lambda: consumer.get_watermark_offsets(place, timeout=WAIT_S)) == UNKNOWN_PARTITION
    )
    assert (
        error_of(lambda: consumer.offsets_for_times([place], timeout=WAIT_S)) == UNKNOWN_PARTITION
    )
