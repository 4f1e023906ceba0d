from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, TopicPartition

from tests.conformance.harness import WAIT_S, Kit, is_end, refusal, said, text

OUT_OF_RANGE = ("_AUTO_OFFSET_RESET", "plain")
NO_SUCH_PLACE = ("_UNKNOWN_PARTITION", "plain")


def aborted(kit: Kit, topic: str, value: str) -> None:
    producer = kit.producer()
    producer.begin_transaction()
    kit.write(producer, topic, value)
    producer.abort_transaction()
    kit.settle(topic)


def reading(kit: Kit, topic: str, start: int, **config: Any) -> Consumer:
    consumer = kit.consumer(**config)
    consumer.assign([TopicPartition(topic, 0, start)])
    return consumer


# --- records ------------------------------------------------------------------------------------------


def test_a_record_comes_out_as_it_went_in(kit: Kit) -> None:
    topic = kit.topic()
    headers: list[tuple[str, str | bytes | None]] = [("b", b"1"), ("a", b"\xff\x00"), ("b", b"2")]
    producer = kit.producer()
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
    kit.settle(topic)
    full, none, empty, _ = kit.read(topic)

    assert (full.key(), full.value(), full.headers()) == (b"key", b"\x00\xff", headers)
    assert full.timestamp()[1] == 1_500_000_000_123
    assert (none.key(), none.value(), none.headers(), none.timestamp()[1]) == (None, None, None, 1)
    assert (empty.key(), empty.value()) == (b"", b"")
    assert [m.offset() for m in (full, none, empty)] == [0, 1, 2]
    assert (full.topic(), full.partition()) == (topic, 0)


def test_each_partition_comes_in_the_order_of_its_offsets(kit: Kit) -> None:
    topic = kit.topic(3)
    for value in ("a", "b", "c"):
        for partition in range(3):
            kit.publish(topic, value, partition=partition)
    consumer = kit.consumer()
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(3)])
    found = kit.polled(consumer, lambda messages: sum(map(is_end, messages)) == 3)
    values = {p: [text(m) for m in found if m.partition() == p and not is_end(m)] for p in range(3)}

    assert values == {p: ["a", "b", "c"] for p in range(3)}


def test_at_the_end_a_reader_waits_and_then_gets_what_comes(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a")
    consumer = reading(kit, topic, kit.ends(topic)[1])
    assert kit.nothing_comes(consumer)

    kit.publish(topic, "b")
    found = kit.polled(consumer, lambda messages: any(not is_end(m) for m in messages))
    assert text(found[-1]) == "b"


def test_several_messages_can_be_taken_at_once_but_no_more_than_asked_for(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b", "c")
    consumer = reading(kit, topic, 0, enable_partition_eof=False)
    first = consumer.poll(WAIT_S)
    assert first is not None

    assert [text(m) for m in (first, *consumer.consume(1, timeout=WAIT_S))] == ["a", "b"]
    assert [text(m) for m in consumer.consume(9, timeout=0.0)] == ["c"]
    assert consumer.consume(9, timeout=0.0) == []


# --- the end of a partition ---------------------------------------------------------------------------


def test_the_end_of_an_empty_partition_is_told(kit: Kit) -> None:
    (end,) = kit.read(kit.topic())

    assert (is_end(end), end.offset()) == (True, 0)


def test_the_end_is_told_with_the_offset_after_the_last_marker(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a")
    *_, end = kit.read(topic)

    assert (end.topic(), end.partition(), end.offset()) == (topic, 0, 2)


def test_the_end_is_told_beyond_a_tail_of_aborted_records(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a")
    aborted(kit, topic, "never seen")
    *records, end = kit.read(topic)

    assert [text(m) for m in records] == ["a"]
    assert end.offset() == 4


def test_the_end_is_told_again_after_every_further_transaction_even_if_it_was_aborted(
    kit: Kit,
) -> None:
    topic = kit.topic()
    consumer = reading(kit, topic, 0)
    ends = [kit.polled(consumer, lambda found: found)[-1].offset()]
    aborted(kit, topic, "never seen")
    ends.append(kit.polled(consumer, lambda found: found and found[-1].offset() == 2)[-1].offset())
    kit.publish(topic, "a")
    record, *_, end = kit.polled(consumer, lambda found: found and is_end(found[-1]))

    assert ends == [0, 2]
    assert (text(record), end.offset()) == ("a", 4)


def test_with_a_transaction_open_the_end_is_where_that_began(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a")
    producer = kit.producer()
    producer.begin_transaction()
    kit.write(producer, topic, "open")
    *_, end = kit.read(topic)

    assert end.offset() == 2


# --- where to read ------------------------------------------------------------------------------------


def test_seeking_goes_back_and_forth(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b", "c")
    consumer = reading(kit, topic, 0)
    kit.polled(consumer, lambda found: found and is_end(found[-1]))
    consumer.seek(TopicPartition(topic, 0, 1))
    back = kit.polled(consumer, lambda found: found and is_end(found[-1]))

    assert [text(m) for m in back[:-1]] == ["b", "c"]


def test_seeking_where_nothing_is_assigned_is_refused(kit: Kit) -> None:
    consumer = kit.consumer()

    code, how = refusal(lambda: consumer.seek(TopicPartition(kit.topic(), 0, 1)))
    assert code in {"_UNKNOWN_PARTITION", "_STATE"}
    assert how == "plain"


def test_the_beginning_and_the_end_have_names(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b")

    assert [text(m) for m in kit.read(topic, start=OFFSET_BEGINNING)[:-1]] == ["a", "b"]
    assert [m.offset() for m in kit.read(topic, start=OFFSET_END)] == [3]


@pytest.mark.parametrize("beyond", [1, 100])
def test_beyond_the_log_a_reader_is_told_once_and_then_gets_nothing(kit: Kit, beyond: int) -> None:
    topic = kit.topic()
    kit.publish(topic, "a")
    consumer = reading(kit, topic, 2 + beyond)
    (event,) = kit.polled(consumer, lambda found: found)

    assert said(event.error()) == OUT_OF_RANGE
    assert (event.partition(), event.offset()) == (0, 2 + beyond)
    kit.publish(topic, *"bcd")
    assert kit.nothing_comes(consumer)


def test_a_reader_without_an_offset_is_told_so(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a")
    consumer = kit.consumer(kit.new_name())
    consumer.assign([TopicPartition(topic, 0)])
    (event,) = kit.polled(consumer, lambda found: found)

    assert said(event.error()) == OUT_OF_RANGE


def test_between_the_last_stable_offset_and_the_end_of_the_log_a_reader_waits(kit: Kit) -> None:
    topic = kit.topic()
    older = kit.producer()
    older.begin_transaction()
    kit.write(older, topic, "older")
    later = kit.producer()
    later.begin_transaction()
    kit.write(later, topic, "later")
    later.commit_transaction()
    consumer = reading(kit, topic, 1)
    assert kit.nothing_comes(consumer)

    older.commit_transaction()
    found = kit.polled(consumer, lambda messages: messages)
    assert text(found[0]) == "later"


# --- questions ----------------------------------------------------------------------------------------


def test_a_time_is_found_at_the_first_record_of_it_or_later_and_markers_have_the_brokers_time(
    kit: Kit,
) -> None:
    topic = kit.topic()
    producer = kit.producer()
    producer.begin_transaction()
    for time_ms in (1000, 2000, 2000, 5000):
        producer.produce(topic, value=b"x", partition=0, timestamp=time_ms)
    producer.commit_transaction()
    kit.settle(topic)

    assert [offset_at(kit, topic, time_ms) for time_ms in (500, 1000, 1001, 2000, 2001)] == [
        0,
        0,
        1,
        1,
        3,
    ]
    assert offset_at(kit, topic, 5001) == 4
    assert offset_at(kit, topic, 10**14) == OFFSET_END
    assert offset_at(kit, kit.topic(), 0) == OFFSET_END


def test_a_time_is_not_found_in_a_transaction_that_is_open(kit: Kit) -> None:
    topic = kit.topic()
    producer = kit.producer()
    producer.begin_transaction()
    producer.produce(topic, value=b"x", partition=0, timestamp=1000)
    producer.flush(WAIT_S)

    assert offset_at(kit, topic, 1000) == OFFSET_END
    producer.commit_transaction()
    kit.settle(topic)
    assert offset_at(kit, topic, 1000) == 0


def offset_at(kit: Kit, topic: str, time_ms: int) -> int:
    consumer = kit.consumer()
    (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, time_ms)], timeout=WAIT_S)
    kit.close(consumer)
    return int(found.offset)


def test_a_topic_says_how_many_partitions_it_has_and_one_that_is_not_there_has_none(
    kit: Kit,
) -> None:
    assert kit.partitions(kit.topic(3)) == 3
    assert kit.partitions("no-such-topic") == 0


@pytest.mark.parametrize("there", [True, False])
def test_ends_and_times_of_a_place_that_is_not_there_are_refused(kit: Kit, there: bool) -> None:
    topic, partition = (kit.topic(), 7) if there else ("no-such-topic", 0)
    consumer = kit.consumer()
    place = TopicPartition(topic, partition, 0)

    assert refusal(lambda: consumer.get_watermark_offsets(place, timeout=WAIT_S)) == NO_SUCH_PLACE
    assert refusal(lambda: consumer.offsets_for_times([place], timeout=WAIT_S)) == NO_SUCH_PLACE
