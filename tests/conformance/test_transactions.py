import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition

from tests.conformance.harness import WAIT_S, Kit, refusal
from tests.conformance.overdue import COMMITTED_BEFORE, USES, Overdue

FENCED = ("_FENCED", "fatal")
WRONG_STATE = ("_STATE", "plain")
HOW = ["commits", "aborts", "sends offsets"]


def call(kit: Kit, producer: Producer, how: str) -> None:
    """Make a call that goes to the broker."""
    if how == "commits":
        producer.commit_transaction()
    elif how == "aborts":
        producer.abort_transaction()
    else:
        producer.send_offsets_to_transaction(
            [TopicPartition("t", 0, 1)], kit.no_membership(kit.new_name())
        )


def an_open_transaction(kit: Kit, topic: str, *values: str, name: str | None = None) -> Producer:
    producer = kit.producer(name)
    producer.begin_transaction()
    kit.write(producer, topic, *values)
    return producer


# --- what readers see ---------------------------------------------------------------------------------


def test_records_of_an_open_transaction_are_seen_by_read_uncommitted_only(kit: Kit) -> None:
    topic = kit.topic()
    an_open_transaction(kit, topic, "open")

    assert kit.values(topic) == []
    assert kit.values(topic, isolation_level="read_uncommitted") == ["open"]


def test_committed_records_are_read_in_the_order_of_writing(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b", "c")
    kit.publish(topic, "d")

    assert kit.values(topic) == ["a", "b", "c", "d"]


def test_aborted_records_are_never_read(kit: Kit) -> None:
    topic = kit.topic()
    an_open_transaction(kit, topic, "aborted").abort_transaction()
    kit.settle(topic)
    kit.publish(topic, "committed")

    assert kit.values(topic) == ["committed"]
    assert kit.values(topic, isolation_level="read_uncommitted") == ["aborted", "committed"]


def test_a_reader_stops_at_the_oldest_open_transaction_even_if_a_later_one_is_committed(
    kit: Kit,
) -> None:
    topic = kit.topic()
    kit.publish(topic, "before")
    older = an_open_transaction(kit, topic, "older")
    an_open_transaction(kit, topic, "later").commit_transaction()

    assert kit.values(topic) == ["before"]
    older.commit_transaction()
    kit.settle(topic)
    assert kit.values(topic) == ["before", "older", "later"]


def test_once_the_oldest_open_transaction_is_aborted_the_later_committed_one_is_read(
    kit: Kit,
) -> None:
    topic = kit.topic()
    older = an_open_transaction(kit, topic, "older")
    an_open_transaction(kit, topic, "later").commit_transaction()
    older.abort_transaction()
    kit.settle(topic)

    assert kit.values(topic) == ["later"]


def test_the_end_is_the_last_stable_offset_for_read_committed_and_the_log_end_for_others(
    kit: Kit,
) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b")
    an_open_transaction(kit, topic, "open")

    assert kit.ends(topic) == (0, 3)
    assert kit.ends(topic, isolation_level="read_uncommitted") == (0, 4)


def test_every_marker_takes_an_offset_whether_it_commits_or_aborts(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b")
    an_open_transaction(kit, topic, "aborted").abort_transaction()
    kit.settle(topic)
    kit.publish(topic, "c")

    assert [message.offset() for message in kit.read(topic)] == [0, 1, 5, 7]
    assert kit.ends(topic) == (0, 7)


@pytest.mark.parametrize(("commits", "seen"), [(True, ["x"]), (False, [])])
def test_a_transaction_over_partitions_and_topics_is_all_or_nothing(
    kit: Kit, commits: bool, seen: list[str]
) -> None:
    topic, other = kit.topic(2), kit.topic()
    producer = kit.producer()
    producer.begin_transaction()
    places = [(topic, 0), (topic, 1), (other, 0)]
    for name, partition in places:
        kit.write(producer, name, "x", partition=partition)
    producer.commit_transaction() if commits else producer.abort_transaction()

    for name, partition in places:
        kit.settle(name, partition)
    assert [kit.values(name, partition) for name, partition in places] == [seen] * 3


# --- one producer -------------------------------------------------------------------------------------


def test_beginning_twice_is_an_error_of_state_that_breaks_nothing(kit: Kit) -> None:
    topic = kit.topic()
    producer = an_open_transaction(kit, topic, "x")

    assert refusal(producer.begin_transaction) == WRONG_STATE
    producer.commit_transaction()
    kit.settle(topic)
    assert kit.values(topic) == ["x"]


@pytest.mark.parametrize("has_its_id", [True, False])
def test_outside_a_transaction_everything_but_beginning_is_an_error_of_state(
    kit: Kit, has_its_id: bool
) -> None:
    name = kit.new_name()
    producer = kit.producer(name) if has_its_id else kit.idle_producer(name)

    assert refusal(lambda: producer.produce("t", value=b"x", partition=0)) == WRONG_STATE
    assert [refusal(lambda how=how: call(kit, producer, how)) for how in HOW] == [WRONG_STATE] * 3  # type: ignore[misc]


def test_a_transactional_id_is_taken_once_and_before_beginning(kit: Kit) -> None:
    producer = kit.idle_producer(kit.new_name())

    assert refusal(producer.begin_transaction) == WRONG_STATE
    producer.init_transactions(WAIT_S)
    assert refusal(lambda: producer.init_transactions(WAIT_S)) == WRONG_STATE


@pytest.mark.parametrize("commits", [True, False])
def test_an_empty_transaction_leaves_nothing_behind(kit: Kit, commits: bool) -> None:
    topic = kit.topic()
    producer = kit.producer()
    producer.begin_transaction()
    producer.commit_transaction() if commits else producer.abort_transaction()
    producer.begin_transaction()
    kit.write(producer, topic, "x")
    producer.commit_transaction()
    kit.settle(topic)

    assert kit.ends(topic) == (0, 2)


def test_after_an_abort_the_same_producer_goes_on(kit: Kit) -> None:
    topic = kit.topic()
    producer = an_open_transaction(kit, topic, "aborted")
    producer.abort_transaction()
    producer.begin_transaction()
    kit.write(producer, topic, "committed")
    producer.commit_transaction()
    kit.settle(topic)

    assert kit.values(topic) == ["committed"]


def test_a_record_that_cannot_be_written_makes_the_transaction_abortable(kit: Kit) -> None:
    topic = kit.topic()
    producer = kit.producer(
        topic_metadata_propagation_max_ms=0
    )  # do not wait for the topic to come into being
    producer.begin_transaction()
    kit.write(producer, topic, "x")
    kit.write(producer, "no-such-topic", "x")

    assert refusal(producer.commit_transaction) == ("_INCONSISTENT", "abortable")
    producer.abort_transaction()
    kit.settle(topic)
    assert kit.values(topic) == []


def test_a_record_that_was_not_sent_when_its_transaction_is_aborted_is_not_sent_later(
    kit: Kit,
) -> None:
    topic = kit.topic()
    producer = kit.producer()
    producer.begin_transaction()
    producer.produce(topic, value=b"aborted", partition=0)
    producer.abort_transaction()
    producer.begin_transaction()
    kit.write(producer, topic, "committed")
    producer.commit_transaction()
    kit.settle(topic)

    assert kit.values(topic) == ["committed"]


# --- two producers with one id ------------------------------------------------------------------------


def test_a_second_producer_with_the_id_takes_back_what_the_first_left_open(kit: Kit) -> None:
    topic, name = kit.topic(), kit.new_name()
    an_open_transaction(kit, topic, "first", name=name)
    second = kit.producer(name)
    kit.settle(topic)

    assert kit.values(topic) == []
    second.begin_transaction()
    kit.write(second, topic, "second")
    second.commit_transaction()
    kit.settle(topic)
    assert kit.values(topic) == ["second"]


@pytest.mark.parametrize("how", HOW)
def test_a_fenced_producer_hears_it_for_good_when_it(kit: Kit, how: str) -> None:
    topic, name = kit.topic(), kit.new_name()
    first = an_open_transaction(kit, topic, "first", name=name)
    kit.producer(name)

    assert refusal(lambda: call(kit, first, how)) == FENCED
    assert [refusal(lambda again=again: call(kit, first, again)) for again in HOW] == [FENCED] * 3  # type: ignore[misc]
    assert refusal(first.begin_transaction) == FENCED
    assert kit.values(topic) == []


def test_a_fenced_producer_that_has_heard_it_says_fatal_but_no_fatal_flag_when_it_produces(
    kit: Kit,
) -> None:
    topic, name = kit.topic(), kit.new_name()
    first = an_open_transaction(kit, topic, "first", name=name)
    kit.producer(name)
    assert refusal(first.commit_transaction) == FENCED

    assert refusal(lambda: first.produce(topic, value=b"x", partition=0)) == ("_FATAL", "plain")


def test_a_fenced_producer_that_has_not_heard_it_begins_and_produces_and_nothing_of_it_is_read(
    kit: Kit,
) -> None:
    topic, name = kit.topic(), kit.new_name()
    first = kit.producer(name)
    second = kit.producer(name)
    first.begin_transaction()
    first.produce(topic, value=b"first", partition=0)
    second.begin_transaction()
    kit.write(second, topic, "second")

    assert refusal(first.commit_transaction) == FENCED
    second.commit_transaction()
    kit.settle(topic)
    assert kit.values(topic, isolation_level="read_uncommitted") == ["second"]


def test_a_fenced_producer_ends_an_empty_transaction_without_hearing_it(kit: Kit) -> None:
    name = kit.new_name()
    first = kit.producer(name)
    kit.producer(name)

    first.begin_transaction()
    first.commit_transaction()
    first.begin_transaction()
    first.abort_transaction()


def test_the_producer_that_fenced_another_is_not_disturbed_by_its_late_calls(kit: Kit) -> None:
    topic, name = kit.topic(), kit.new_name()
    first = an_open_transaction(kit, topic, "first", name=name)
    second = kit.producer(name)
    second.begin_transaction()
    kit.write(second, topic, "second")
    for how in HOW:
        with pytest.raises(KafkaException):
            call(kit, first, how)
    kit.close(first)

    second.commit_transaction()
    kit.settle(topic)
    assert kit.values(topic) == ["second"]


def test_other_transactional_ids_do_not_fence(kit: Kit) -> None:
    topic = kit.topic()
    first = an_open_transaction(kit, topic, "first")
    an_open_transaction(kit, topic, "second").commit_transaction()
    first.commit_transaction()
    kit.settle(topic)

    assert kit.values(topic) == ["first", "second"]


# --- time-outs ----------------------------------------------------------------------------------------


def test_a_transaction_open_for_too_long_is_taken_back_and_holds_back_nobody(
    kit: Kit, gone: Overdue
) -> None:
    assert kit.values(gone.topic)[0] == "later"
    assert kit.values(gone.topic, isolation_level="read_uncommitted")[:5] == [
        *(f"{u} too late" for u in USES),
        "later",
    ]


@pytest.mark.parametrize("how", HOW)
def test_a_producer_whose_transaction_timed_out_is_told_it_is_fenced_though_nobody_has_its_id(
    kit: Kit, gone: Overdue, how: str
) -> None:
    assert refusal(lambda: call(kit, gone.producers[how], how)) == FENCED


def test_after_a_time_out_nothing_more_is_written_until_a_new_producer_takes_the_id(
    kit: Kit, gone: Overdue
) -> None:
    late = gone.producers["is renewed"]
    late.produce(gone.topic, value=b"later still", partition=0)
    assert refusal(late.commit_transaction) == FENCED

    renewed = kit.producer(gone.names["is renewed"])
    renewed.begin_transaction()
    kit.write(renewed, gone.topic, "renewed")
    renewed.commit_transaction()
    kit.settle(gone.topic)
    assert kit.values(gone.topic) == ["later", "renewed"]
    assert "later still" not in kit.values(gone.topic, isolation_level="read_uncommitted")


def test_a_transaction_in_which_nothing_was_written_does_not_time_out(
    kit: Kit, gone: Overdue
) -> None:
    topic = kit.topic()
    kit.write(gone.empty, topic, "x")
    gone.empty.commit_transaction()
    kit.settle(topic)

    assert kit.values(topic) == ["x"]


def test_offsets_of_a_transaction_that_timed_out_are_dropped(kit: Kit, gone: Overdue) -> None:
    assert kit.committed(gone.group, gone.topic) == COMMITTED_BEFORE
