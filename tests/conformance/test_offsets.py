import pytest
from confluent_kafka import Producer, TopicPartition

from tests.conformance.harness import Kit, refusal
from tests.conformance.member import membership, parsed

STALE = ("ILLEGAL_GENERATION", "abortable")
STRANGER = ("UNKNOWN_MEMBER_ID", "abortable")
PENDING = ("_TIMED_OUT", "plain")
SHORT_S = 0.3


def send(producer: Producer, topic: str, offset: int, of: bytes, partition: int = 0) -> None:
    producer.send_offsets_to_transaction([TopicPartition(topic, partition, offset)], of)


def pending(kit: Kit, topic: str, offset: int, of: bytes, name: str | None = None) -> Producer:
    """Return a producer whose open transaction holds an offset."""
    producer = kit.producer(name)
    producer.begin_transaction()
    send(producer, topic, offset, of)
    return producer


def refused(kit: Kit, topic: str, of: bytes) -> tuple[str, str]:
    """How offsets with a membership are refused; the producer can go on after it has aborted."""
    producer = kit.producer()
    producer.begin_transaction()
    answer = refusal(lambda: send(producer, topic, 99, of))
    assert refusal(producer.commit_transaction) == answer
    producer.abort_transaction()
    producer.begin_transaction()
    kit.write(producer, topic, "goes on")
    producer.commit_transaction()
    return answer


# --- when an offset counts ----------------------------------------------------------------------------


def test_where_nothing_was_committed_the_answer_is_negative(kit: Kit) -> None:
    assert kit.committed(kit.new_name(), kit.topic()) < 0


def test_sent_offsets_count_from_the_commit_on(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    kit.commit(topic, 3, kit.no_membership(group))
    producer = pending(kit, topic, 5, kit.no_membership(group))

    assert kit.committed(group, topic, isolation_level="read_uncommitted") == 3
    producer.commit_transaction()
    assert kit.committed(group, topic) == 5


def test_after_an_abort_the_old_offset_stands(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    kit.commit(topic, 3, kit.no_membership(group))
    pending(kit, topic, 5, kit.no_membership(group)).abort_transaction()

    assert kit.committed(group, topic) == 3


def test_records_and_offsets_of_a_transaction_count_together(kit: Kit) -> None:
    topic, output, group = kit.topic(), kit.topic(), kit.new_name()
    aborted, committed = (
        pending(kit, topic, offset, kit.no_membership(group)) for offset in (1, 2)
    )
    kit.write(aborted, output, "aborted")
    kit.write(committed, output, "committed")
    committed.commit_transaction()
    aborted.abort_transaction()

    assert kit.committed(group, topic) == 2
    kit.settle(output)
    assert kit.values(output) == ["committed"]


def test_a_reader_of_committed_records_is_not_told_an_offset_while_a_transaction_on_it_is_open(
    kit: Kit,
) -> None:
    topic, group = kit.topic(), kit.new_name()
    kit.commit(topic, 3, kit.no_membership(group))
    producer = pending(kit, topic, 5, kit.no_membership(group))

    assert refusal(lambda: kit.committed(group, topic, wait_s=SHORT_S)) == PENDING
    producer.commit_transaction()
    assert kit.committed(group, topic) == 5


def test_an_open_transaction_holds_back_its_own_partitions_and_its_own_group_only(kit: Kit) -> None:
    topic, group, other = kit.topic(2), kit.new_name(), kit.new_name()
    for name in (group, other):
        kit.commit(topic, 3, kit.no_membership(name), partition=1)
        kit.commit(topic, 3, kit.no_membership(name))
    pending(kit, topic, 5, kit.no_membership(group))

    assert kit.committed(group, topic, 1, wait_s=SHORT_S) == 3
    assert kit.committed(other, topic, wait_s=SHORT_S) == 3


def test_offsets_of_a_producer_that_was_fenced_are_dropped(kit: Kit) -> None:
    topic, group, name = kit.topic(), kit.new_name(), kit.new_name()
    fenced = pending(kit, topic, 5, kit.no_membership(group), name)
    kit.producer(name)

    assert kit.committed(group, topic) < 0
    assert refusal(fenced.commit_transaction) == ("_FENCED", "fatal")
    assert kit.committed(group, topic) < 0


def test_the_offset_sent_last_in_a_transaction_counts_even_if_it_is_lower(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    kit.commit(topic, 9, kit.no_membership(group))
    producer = pending(kit, topic, 12, kit.no_membership(group))
    send(producer, topic, 4, kit.no_membership(group))
    producer.commit_transaction()

    assert kit.committed(group, topic) == 4


def test_of_two_open_transactions_the_one_that_sent_last_wins_whichever_is_committed_last(
    kit: Kit,
) -> None:
    topic, group = kit.topic(), kit.new_name()
    first = pending(kit, topic, 1, kit.no_membership(group))
    second = pending(kit, topic, 2, kit.no_membership(group))
    second.commit_transaction()
    first.commit_transaction()

    assert kit.committed(group, topic) == 2


def test_negative_offsets_are_left_out_without_a_word(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    pending(kit, topic, -1001, kit.no_membership(group)).commit_transaction()

    assert kit.committed(group, topic) < 0


def test_reading_and_leaving_do_not_move_an_offset(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    kit.publish(topic, "a", "b", "c")
    kit.commit(topic, 1, kit.no_membership(group))
    member = kit.joined(group, topic)
    kit.poll(member, until=lambda: len(member.read()) == 3)
    member.close()

    assert kit.committed(group, topic) == 1


# --- whose offsets are taken --------------------------------------------------------------------------


def test_offsets_of_a_member_of_this_generation_are_taken(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    member = kit.joined(group, topic)
    kit.commit(topic, 1, member.membership())

    assert kit.committed(group, topic) == 1


def test_without_generation_and_member_offsets_are_taken_even_from_beside_a_living_group(
    kit: Kit,
) -> None:
    topic, group = kit.topic(), kit.new_name()
    kit.joined(group, topic)
    kit.commit(topic, 1, kit.no_membership(group))

    assert parsed(kit.no_membership(group)) == (-1, group, "")
    assert kit.committed(group, topic) == 1


@pytest.mark.parametrize(
    ("generations_on", "name", "answer"),
    [
        (-1, None, STALE),
        (+1, None, STALE),
        (0, "nobody", STRANGER),
        (-1, "nobody", STRANGER),
        (0, "", STRANGER),
    ],
)
def test_offsets_are_refused_from_another_generation_or_member(
    kit: Kit, generations_on: int, name: str | None, answer: tuple[str, str]
) -> None:
    topic, group = kit.topic(), kit.new_name()
    generation, _, own = parsed(kit.joined(group, topic).membership())
    of = membership(generation + generations_on, group, own if name is None else name)

    assert refused(kit, topic, of) == answer
    assert kit.committed(group, topic) < 0


def test_a_member_without_a_generation_is_refused(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    _, _, own = parsed(kit.joined(group, topic).membership())

    assert refused(kit, topic, membership(-1, group, own)) == STALE


def test_after_a_rebalance_the_membership_from_before_is_refused_and_the_new_one_taken(
    kit: Kit,
) -> None:
    topic, group = kit.topic(2), kit.new_name()
    member = kit.joined(group, topic)
    before = member.membership()
    kit.joined(group, topic, member)
    assert member.membership() != before

    assert refused(kit, topic, before) == STALE
    kit.commit(topic, 7, member.membership())
    assert kit.committed(group, topic) == 7


def test_a_rebalance_between_sending_and_committing_changes_nothing(kit: Kit) -> None:
    topic, group = kit.topic(2), kit.new_name()
    member = kit.joined(group, topic)
    producer = pending(kit, topic, 7, member.membership())
    kit.joined(group, topic, member)

    producer.commit_transaction()
    assert kit.committed(group, topic) == 7


def test_who_holds_the_partition_is_not_asked(kit: Kit) -> None:
    topic, group = kit.topic(2), kit.new_name()
    one = kit.joined(group, topic)
    other = kit.joined(group, topic, one)
    (of_the_other,) = other.held()
    kit.commit(topic, 7, one.membership(), of_the_other)

    assert kit.committed(group, topic, of_the_other) == 7


def test_whoever_has_left_is_a_stranger(kit: Kit) -> None:
    topic, group = kit.topic(2), kit.new_name()
    one = kit.joined(group, topic)
    other = kit.joined(group, topic, one)
    left = other.membership()
    other.close()

    assert refused(kit, topic, left) == STRANGER


def test_the_last_to_leave_is_a_stranger_too_and_what_it_committed_stays(kit: Kit) -> None:
    topic, group = kit.topic(), kit.new_name()
    member = kit.joined(group, topic)
    left = member.membership()
    kit.commit(topic, 7, left)
    member.close()

    assert refused(kit, topic, left) == STRANGER
    assert kit.committed(group, topic) == 7


def test_a_member_that_vanished_is_believed_until_its_session_ends_and_then_a_stranger(
    kit: Kit,
) -> None:
    topic, group = kit.topic(2), kit.new_name()
    vanishing, vanish = kit.vanishing_member(group, topic)
    kit.share(topic, vanishing)
    zombie = vanishing.membership()
    vanish()
    kit.commit(topic, 7, zombie)
    successor = kit.member(group, topic)
    kit.poll(successor, until=lambda: successor.held() == [0, 1])

    assert refused(kit, topic, zombie) == STRANGER
    assert kit.committed(group, topic) == 7
