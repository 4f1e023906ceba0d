from functools import partial

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition

from tests.conformance.harness import WAIT_S, ClientHarness, error_of
from tests.conformance.timed_out import COMMITTED_BEFORE, USES, TimedOutTransactions

FENCED = ("_FENCED", "fatal")
WRONG_STATE = ("_STATE", "plain")
HOW = ["commits", "aborts", "sends offsets"]


def call(harness: ClientHarness, producer: Producer, how: str) -> None:
    """Make a call that sends a request to the broker."""
    if how == "commits":
        producer.commit_transaction()
    elif how == "aborts":
        producer.abort_transaction()
    else:
        producer.send_offsets_to_transaction(
            [TopicPartition("t", 0, 1)], harness.no_membership(harness.new_name())
        )


def open_transaction(
    harness: ClientHarness, topic: str, *values: str, name: str | None = None
) -> Producer:
    producer = harness.producer(name)
    producer.begin_transaction()
    harness.write(producer, topic, *values)
    return producer


# --- what readers see -----------------------------------------------------------------------------


def test_records_of_an_open_transaction_are_seen_by_read_uncommitted_only(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    open_transaction(harness, topic, "open")

    assert harness.values(topic) == []
    assert harness.values(topic, isolation_level="read_uncommitted") == ["open"]


def test_committed_records_are_read_in_the_order_of_writing(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b", "c")
    harness.publish(topic, "d")

    assert harness.values(topic) == ["a", "b", "c", "d"]


def test_aborted_records_are_never_read(harness: ClientHarness) -> None:
    topic = harness.topic()
    open_transaction(harness, topic, "aborted").abort_transaction()
    harness.await_settled(topic)
    harness.publish(topic, "committed")

    assert harness.values(topic) == ["committed"]
    assert harness.values(topic, isolation_level="read_uncommitted") == ["aborted", "committed"]


def test_a_reader_stops_at_the_oldest_open_transaction_even_if_a_later_one_is_committed(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    harness.publish(topic, "before")
    older = open_transaction(harness, topic, "older")
    open_transaction(harness, topic, "later").commit_transaction()

    assert harness.values(topic) == ["before"]
    older.commit_transaction()
    harness.await_settled(topic)
    assert harness.values(topic) == ["before", "older", "later"]


def test_once_the_oldest_open_transaction_is_aborted_the_later_committed_one_is_read(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    older = open_transaction(harness, topic, "older")
    open_transaction(harness, topic, "later").commit_transaction()
    older.abort_transaction()
    harness.await_settled(topic)

    assert harness.values(topic) == ["later"]


def test_the_end_is_the_last_stable_offset_for_read_committed_and_the_log_end_for_others(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b")
    open_transaction(harness, topic, "open")

    assert harness.ends(topic) == (0, 3)
    assert harness.ends(topic, isolation_level="read_uncommitted") == (0, 4)


def test_every_marker_takes_an_offset_whether_it_commits_or_aborts(harness: ClientHarness) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b")
    open_transaction(harness, topic, "aborted").abort_transaction()
    harness.await_settled(topic)
    harness.publish(topic, "c")

    assert [message.offset() for message in harness.read(topic)] == [0, 1, 5, 7]
    assert harness.ends(topic) == (0, 7)


@pytest.mark.parametrize(("commits", "seen"), [(True, ["x"]), (False, [])])
def test_a_transaction_over_partitions_and_topics_is_all_or_nothing(
    harness: ClientHarness, commits: bool, seen: list[str]
) -> None:
    topic, other = harness.topic(2), harness.topic()
    producer = harness.producer()
    producer.begin_transaction()
    places = [(topic, 0), (topic, 1), (other, 0)]
    for name, partition in places:
        harness.write(producer, name, "x", partition=partition)
    producer.commit_transaction() if commits else producer.abort_transaction()

    for name, partition in places:
        harness.await_settled(name, partition)
    assert [harness.values(name, partition) for name, partition in places] == [seen] * 3


# --- one producer ---------------------------------------------------------------------------------


def test_beginning_twice_is_an_error_of_state_that_breaks_nothing(harness: ClientHarness) -> None:
    topic = harness.topic()
    producer = open_transaction(harness, topic, "x")

    assert error_of(producer.begin_transaction) == WRONG_STATE
    producer.commit_transaction()
    harness.await_settled(topic)
    assert harness.values(topic) == ["x"]


@pytest.mark.parametrize("has_its_id", [True, False])
def test_outside_a_transaction_everything_but_beginning_is_an_error_of_state(
    harness: ClientHarness, has_its_id: bool
) -> None:
    name = harness.new_name()
    producer = harness.producer(name) if has_its_id else harness.new_producer(name)

    assert error_of(lambda: producer.produce("t", value=b"x", partition=0)) == WRONG_STATE
    for how in HOW:
        assert error_of(partial(call, harness, producer, how)) == WRONG_STATE


def test_a_transactional_id_is_taken_once_and_before_beginning(harness: ClientHarness) -> None:
    producer = harness.new_producer(harness.new_name())

    assert error_of(producer.begin_transaction) == WRONG_STATE
    producer.init_transactions(WAIT_S)
    assert error_of(lambda: producer.init_transactions(WAIT_S)) == WRONG_STATE


@pytest.mark.parametrize("commits", [True, False])
def test_an_empty_transaction_leaves_nothing_behind(harness: ClientHarness, commits: bool) -> None:
    topic = harness.topic()
    producer = harness.producer()
    producer.begin_transaction()
    producer.commit_transaction() if commits else producer.abort_transaction()
    producer.begin_transaction()
    harness.write(producer, topic, "x")
    producer.commit_transaction()
    harness.await_settled(topic)

    assert harness.ends(topic) == (0, 2)


def test_after_an_abort_the_same_producer_goes_on(harness: ClientHarness) -> None:
    topic = harness.topic()
    producer = open_transaction(harness, topic, "aborted")
    producer.abort_transaction()
    producer.begin_transaction()
    harness.write(producer, topic, "committed")
    producer.commit_transaction()
    harness.await_settled(topic)

    assert harness.values(topic) == ["committed"]


def test_a_record_that_cannot_be_written_makes_the_transaction_abortable(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    producer = harness.producer(
        topic_metadata_propagation_max_ms=0
    )  # do not wait for the topic to come into being
    producer.begin_transaction()
    harness.write(producer, topic, "x")
    harness.write(producer, "no-such-topic", "x")

    assert error_of(producer.commit_transaction) == ("_INCONSISTENT", "abortable")
    producer.abort_transaction()
    harness.await_settled(topic)
    assert harness.values(topic) == []


def test_a_record_that_was_not_sent_when_its_transaction_is_aborted_is_not_sent_later(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    producer = harness.producer()
    producer.begin_transaction()
    producer.produce(topic, value=b"aborted", partition=0)
    producer.abort_transaction()
    producer.begin_transaction()
    harness.write(producer, topic, "committed")
    producer.commit_transaction()
    harness.await_settled(topic)

    assert harness.values(topic) == ["committed"]


# --- two producers with one id --------------------------------------------------------------------


def test_a_second_producer_with_the_id_aborts_what_the_first_left_open(
    harness: ClientHarness,
) -> None:
    topic, name = harness.topic(), harness.new_name()
    open_transaction(harness, topic, "first", name=name)
    second = harness.producer(name)
    harness.await_settled(topic)

    assert harness.values(topic) == []
    second.begin_transaction()
    harness.write(second, topic, "second")
    second.commit_transaction()
    harness.await_settled(topic)
    assert harness.values(topic) == ["second"]


@pytest.mark.parametrize("how", HOW)
def test_a_fenced_producer_gets_a_fatal_error_for_good_when_it(
    harness: ClientHarness, how: str
) -> None:
    topic, name = harness.topic(), harness.new_name()
    first = open_transaction(harness, topic, "first", name=name)
    harness.producer(name)

    assert error_of(lambda: call(harness, first, how)) == FENCED
    for again in HOW:
        assert error_of(partial(call, harness, first, again)) == FENCED
    assert error_of(first.begin_transaction) == FENCED
    assert harness.values(topic) == []


def test_a_fenced_producer_that_knows_it_gets_fatal_without_the_fatal_flag_when_it_produces(
    harness: ClientHarness,
) -> None:
    topic, name = harness.topic(), harness.new_name()
    first = open_transaction(harness, topic, "first", name=name)
    harness.producer(name)
    assert error_of(first.commit_transaction) == FENCED

    assert error_of(lambda: first.produce(topic, value=b"x", partition=0)) == ("_FATAL", "plain")


def test_a_fenced_producer_that_does_not_know_it_may_produce_but_nothing_of_it_is_read(
    harness: ClientHarness,
) -> None:
    topic, name = harness.topic(), harness.new_name()
    first = harness.producer(name)
    second = harness.producer(name)
    first.begin_transaction()
    first.produce(topic, value=b"first", partition=0)
    second.begin_transaction()
    harness.write(second, topic, "second")

    assert error_of(first.commit_transaction) == FENCED
    second.commit_transaction()
    harness.await_settled(topic)
    assert harness.values(topic, isolation_level="read_uncommitted") == ["second"]


def test_a_fenced_producer_ends_an_empty_transaction_without_an_error(
    harness: ClientHarness,
) -> None:
    name = harness.new_name()
    first = harness.producer(name)
    harness.producer(name)

    first.begin_transaction()
    first.commit_transaction()
    first.begin_transaction()
    first.abort_transaction()


def test_the_producer_that_fenced_another_is_not_disturbed_by_its_late_calls(
    harness: ClientHarness,
) -> None:
    topic, name = harness.topic(), harness.new_name()
    first = open_transaction(harness, topic, "first", name=name)
    second = harness.producer(name)
    second.begin_transaction()
    harness.write(second, topic, "second")
    for how in HOW:
        with pytest.raises(KafkaException):
            call(harness, first, how)
    harness.close(first)

    second.commit_transaction()
    harness.await_settled(topic)
    assert harness.values(topic) == ["second"]


def test_other_transactional_ids_do_not_fence(harness: ClientHarness) -> None:
    topic = harness.topic()
    first = open_transaction(harness, topic, "first")
    open_transaction(harness, topic, "second").commit_transaction()
    first.commit_transaction()
    harness.await_settled(topic)

    assert harness.values(topic) == ["first", "second"]


# --- time-outs ------------------------------------------------------------------------------------


def test_a_transaction_open_for_too_long_is_aborted_and_blocks_no_reader(
    harness: ClientHarness, timed_out: TimedOutTransactions
) -> None:
    assert harness.values(timed_out.topic)[0] == "later"
    assert harness.values(timed_out.topic, isolation_level="read_uncommitted")[:5] == [
        *(f"{u} too late" for u in USES),
        "later",
    ]


@pytest.mark.parametrize("how", HOW)
def test_a_producer_whose_transaction_timed_out_is_fenced_though_no_other_has_its_id(
    harness: ClientHarness, timed_out: TimedOutTransactions, how: str
) -> None:
    assert error_of(lambda: call(harness, timed_out.producers[how], how)) == FENCED


def test_after_a_time_out_nothing_more_is_written_until_a_new_producer_takes_the_id(
    harness: ClientHarness, timed_out: TimedOutTransactions
) -> None:
    late = timed_out.producers["is renewed"]
    late.produce(timed_out.topic, value=b"later still", partition=0)
    assert error_of(late.commit_transaction) == FENCED

    renewed = harness.producer(timed_out.names["is renewed"])
    renewed.begin_transaction()
    harness.write(renewed, timed_out.topic, "renewed")
    renewed.commit_transaction()
    harness.await_settled(timed_out.topic)
    assert harness.values(timed_out.topic) == ["later", "renewed"]
    assert "later still" not in harness.values(timed_out.topic, isolation_level="read_uncommitted")


def test_a_transaction_in_which_nothing_was_written_does_not_time_out(
    harness: ClientHarness, timed_out: TimedOutTransactions
) -> None:
    topic = harness.topic()
    harness.write(timed_out.empty, topic, "x")
    timed_out.empty.commit_transaction()
    harness.await_settled(topic)

    assert harness.values(topic) == ["x"]


def test_offsets_of_a_transaction_that_timed_out_are_dropped(
    harness: ClientHarness, timed_out: TimedOutTransactions
) -> None:
    assert harness.committed(timed_out.group, timed_out.topic) == COMMITTED_BEFORE
