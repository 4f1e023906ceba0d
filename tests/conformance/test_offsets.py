import pytest
from confluent_kafka import Producer, TopicPartition

from tests.conformance.harness import ClientHarness, error_of
from tests.conformance.member import build_membership, parse_membership

STALE_GENERATION = ("ILLEGAL_GENERATION", "abortable")
UNKNOWN_MEMBER = ("UNKNOWN_MEMBER_ID", "abortable")
PENDING = ("_TIMED_OUT", "plain")
SHORT_S = 0.3


def send(producer: Producer, topic: str, offset: int, of: bytes, partition: int = 0) -> None:
    producer.send_offsets_to_transaction([TopicPartition(topic, partition, offset)], of)


def open_offset_commit(
    harness: ClientHarness, topic: str, offset: int, of: bytes, name: str | None = None
) -> Producer:
    """Return a producer with an open transaction that has sent an offset."""
    producer = harness.producer(name)
    producer.begin_transaction()
    send(producer, topic, offset, of)
    return producer


def commit_error(
    harness: ClientHarness, topic: str, of: bytes, partition: int = 0
) -> tuple[str, str]:
    """Return the error of offsets with a membership; after an abort the producer works again."""
    producer = harness.producer()
    producer.begin_transaction()
    answer = error_of(lambda: send(producer, topic, 99, of, partition))
    assert error_of(producer.commit_transaction) == answer
    producer.abort_transaction()
    producer.begin_transaction()
    harness.write(producer, topic, "goes on")
    producer.commit_transaction()
    return answer


# --- when an offset counts ------------------------------------------------------------------------


def test_where_nothing_was_committed_the_answer_is_negative(harness: ClientHarness) -> None:
    assert harness.committed(harness.new_name(), harness.topic()) < 0


def test_sent_offsets_count_from_the_commit_on(harness: ClientHarness) -> None:
    topic, group = harness.topic(), harness.new_name()
    harness.commit(topic, 3, harness.no_membership(group))
    producer = open_offset_commit(harness, topic, 5, harness.no_membership(group))

    assert harness.committed(group, topic, isolation_level="read_uncommitted") == 3
    producer.commit_transaction()
    assert harness.committed(group, topic) == 5


def test_after_an_abort_the_old_offset_stays(harness: ClientHarness) -> None:
    topic, group = harness.topic(), harness.new_name()
    harness.commit(topic, 3, harness.no_membership(group))
    open_offset_commit(harness, topic, 5, harness.no_membership(group)).abort_transaction()

    assert harness.committed(group, topic) == 3


def test_records_and_offsets_of_a_transaction_count_together(harness: ClientHarness) -> None:
    topic, output, group = harness.topic(), harness.topic(), harness.new_name()
    aborted, committed = (
        open_offset_commit(harness, topic, offset, harness.no_membership(group))
        for offset in (1, 2)
    )
    harness.write(aborted, output, "aborted")
    harness.write(committed, output, "committed")
    committed.commit_transaction()
    aborted.abort_transaction()

    assert harness.committed(group, topic) == 2
    harness.await_settled(output)
    assert harness.values(output) == ["committed"]


def test_a_reader_of_committed_records_gets_no_offset_while_a_transaction_on_it_is_open(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(), harness.new_name()
    harness.commit(topic, 3, harness.no_membership(group))
    producer = open_offset_commit(harness, topic, 5, harness.no_membership(group))

    assert error_of(lambda: harness.committed(group, topic, wait_s=SHORT_S)) == PENDING
    producer.commit_transaction()
    assert harness.committed(group, topic) == 5


def test_an_open_transaction_holds_back_its_own_partitions_and_its_own_group_only(
    harness: ClientHarness,
) -> None:
    topic, group, other = harness.topic(2), harness.new_name(), harness.new_name()
    for name in (group, other):
        harness.commit(topic, 3, harness.no_membership(name), partition=1)
        harness.commit(topic, 3, harness.no_membership(name))
    open_offset_commit(harness, topic, 5, harness.no_membership(group))

    assert harness.committed(group, topic, 1, wait_s=SHORT_S) == 3
    assert harness.committed(other, topic, wait_s=SHORT_S) == 3


def test_offsets_of_a_producer_that_was_fenced_are_dropped(harness: ClientHarness) -> None:
    topic, group, name = harness.topic(), harness.new_name(), harness.new_name()
    fenced = open_offset_commit(harness, topic, 5, harness.no_membership(group), name)
    harness.producer(name)

    assert harness.committed(group, topic) < 0
    assert error_of(fenced.commit_transaction) == ("_FENCED", "fatal")
    assert harness.committed(group, topic) < 0


def test_the_offset_sent_last_in_a_transaction_counts_even_if_it_is_lower(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(), harness.new_name()
    harness.commit(topic, 9, harness.no_membership(group))
    producer = open_offset_commit(harness, topic, 12, harness.no_membership(group))
    send(producer, topic, 4, harness.no_membership(group))
    producer.commit_transaction()

    assert harness.committed(group, topic) == 4


def test_of_two_open_transactions_the_one_that_sent_last_wins_whichever_is_committed_last(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(), harness.new_name()
    first = open_offset_commit(harness, topic, 1, harness.no_membership(group))
    second = open_offset_commit(harness, topic, 2, harness.no_membership(group))
    second.commit_transaction()
    first.commit_transaction()

    assert harness.committed(group, topic) == 2


def test_negative_offsets_are_left_out_without_a_word(harness: ClientHarness) -> None:
    topic, group = harness.topic(), harness.new_name()
    open_offset_commit(harness, topic, -1001, harness.no_membership(group)).commit_transaction()

    assert harness.committed(group, topic) < 0


def test_reading_and_leaving_do_not_move_an_offset(harness: ClientHarness) -> None:
    topic, group = harness.topic(), harness.new_name()
    harness.publish(topic, "a", "b", "c")
    harness.commit(topic, 1, harness.no_membership(group))
    member = harness.join(group, topic)
    harness.poll(member, until=lambda: len(member.read()) == 3)
    member.close()

    assert harness.committed(group, topic) == 1


# --- whose offsets are taken ----------------------------------------------------------------------


def test_offsets_of_a_member_of_this_generation_are_taken(harness: ClientHarness) -> None:
    topic, group = harness.topic(), harness.new_name()
    member = harness.join(group, topic)
    harness.commit(topic, 1, member.membership())

    assert harness.committed(group, topic) == 1


def test_without_generation_and_member_offsets_are_accepted_even_beside_a_live_group(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(), harness.new_name()
    harness.join(group, topic)
    harness.commit(topic, 1, harness.no_membership(group))

    assert parse_membership(harness.no_membership(group)) == (-1, group, "")
    assert harness.committed(group, topic) == 1


@pytest.mark.parametrize(
    ("generations_on", "name", "answer"),
    [
        (-1, None, STALE_GENERATION),
        (+1, None, STALE_GENERATION),
        (0, "nobody", UNKNOWN_MEMBER),
        (-1, "nobody", UNKNOWN_MEMBER),
        (0, "", UNKNOWN_MEMBER),
    ],
)
def test_offsets_are_refused_from_another_generation_or_member(
    harness: ClientHarness, generations_on: int, name: str | None, answer: tuple[str, str]
) -> None:
    topic, group = harness.topic(), harness.new_name()
    generation, _, own = parse_membership(harness.join(group, topic).membership())
    of = build_membership(generation + generations_on, group, own if name is None else name)

    assert commit_error(harness, topic, of) == answer
    assert harness.committed(group, topic) < 0


def test_a_member_without_a_generation_is_refused(harness: ClientHarness) -> None:
    topic, group = harness.topic(), harness.new_name()
    _, _, own = parse_membership(harness.join(group, topic).membership())

    assert commit_error(harness, topic, build_membership(-1, group, own)) == STALE_GENERATION


def test_after_a_rebalance_the_membership_from_before_is_refused_and_the_new_one_taken(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(2), harness.new_name()
    member = harness.join(group, topic)
    before = member.membership()
    harness.join(group, topic, member)
    assert member.membership() != before

    assert commit_error(harness, topic, before) == STALE_GENERATION
    harness.commit(topic, 7, member.membership())
    assert harness.committed(group, topic) == 7


def test_a_rebalance_between_sending_and_committing_changes_nothing(harness: ClientHarness) -> None:
    topic, group = harness.topic(2), harness.new_name()
    member = harness.join(group, topic)
    producer = open_offset_commit(harness, topic, 7, member.membership())
    harness.join(group, topic, member)

    producer.commit_transaction()
    assert harness.committed(group, topic) == 7


def test_a_member_may_commit_a_partition_of_another(harness: ClientHarness) -> None:
    topic, group = harness.topic(2), harness.new_name()
    one = harness.join(group, topic)
    other = harness.join(group, topic, one)
    (of_the_other,) = other.assignment()
    harness.commit(topic, 7, one.membership(), of_the_other)

    assert harness.committed(group, topic, of_the_other) == 7


def test_a_member_that_has_left_is_unknown(harness: ClientHarness) -> None:
    topic, group = harness.topic(2), harness.new_name()
    one = harness.join(group, topic)
    other = harness.join(group, topic, one)
    left = other.membership()
    other.close()

    assert commit_error(harness, topic, left) == UNKNOWN_MEMBER


def test_the_last_member_to_leave_is_unknown_too_and_its_offset_stays(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(), harness.new_name()
    member = harness.join(group, topic)
    left = member.membership()
    harness.commit(topic, 7, left)
    member.close()

    assert commit_error(harness, topic, left) == UNKNOWN_MEMBER
    assert harness.committed(group, topic) == 7


def test_a_member_that_vanished_may_commit_until_its_session_ends(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(2), harness.new_name()
    vanishing, vanish = harness.vanishing_member(group, topic)
    harness.await_rebalanced(topic, vanishing)
    zombie = vanishing.membership()
    vanish()
    harness.commit(topic, 7, zombie)
    successor = harness.member(group, topic)
    harness.poll(successor, until=lambda: successor.assignment() == [0, 1])

    assert commit_error(harness, topic, zombie) == UNKNOWN_MEMBER
    assert harness.committed(group, topic) == 7
