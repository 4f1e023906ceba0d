from confluent_kafka import TopicPartition

from tests.conformance.harness import SESSION_S, WAIT_S, ClientHarness
from tests.conformance.member import RecordingMember, parse_membership


def moved(before: list[int], after: list[int]) -> list[int]:
    return sorted(set(before) - set(after))


def await_callback(
    harness: ClientHarness, member: RecordingMember, what: str, *others: RecordingMember
) -> list[int]:
    """Poll until a callback of this kind came; return its partitions."""

    def named() -> list[list[int]]:
        return [partitions for kind, partitions in member.callbacks() if kind == what]

    harness.poll(member, *others, until=named)
    return named()[-1]


# --- joining and leaving --------------------------------------------------------------------------


def test_before_it_has_joined_a_client_has_neither_generation_nor_member_name(
    harness: ClientHarness,
) -> None:
    group = harness.new_name()
    consumer = harness.consumer(group)

    assert parse_membership(bytes(consumer.consumer_group_metadata())) == (-1, group, "")


def test_a_lone_member_gets_every_partition(harness: ClientHarness) -> None:
    topic = harness.topic(4)
    member = harness.join(harness.new_name(), topic)

    assert member.assignment() == [0, 1, 2, 3]
    assert member.callbacks() == [("assigned", [0, 1, 2, 3])]
    generation, _, name = parse_membership(member.membership())
    assert generation > 0
    assert name


def test_a_second_member_takes_its_share_and_the_first_is_called_back_only_for_what_it_loses(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(4), harness.new_name()
    first = harness.join(group, topic)
    second = harness.join(group, topic, first)
    gone = moved([0, 1, 2, 3], first.assignment())

    assert len(first.assignment()) == len(second.assignment()) == 2
    assert first.callbacks() == [("assigned", [0, 1, 2, 3]), ("revoked", gone)]
    assert second.callbacks() == [("assigned", gone)]


def test_a_partition_that_is_kept_goes_on_where_it_was(harness: ClientHarness) -> None:
    topic, group = harness.topic(2), harness.new_name()
    for partition in (0, 1):
        harness.publish(topic, "a", "b", partition=partition)
    first = harness.join(group, topic)
    harness.poll(first, until=lambda: len(first.read()) == 4)
    second = harness.join(group, topic, first)
    (kept,) = first.assignment()
    harness.publish(topic, "c", partition=kept)
    harness.poll(first, second, until=lambda: len(first.read()) > 4)

    assert first.read()[4:] == [(kept, 3)]


def test_a_member_that_closes_is_called_back_and_hands_over_at_once(harness: ClientHarness) -> None:
    topic, group = harness.topic(4), harness.new_name()
    first = harness.join(group, topic)
    second = harness.join(group, topic, first)
    gone, kept = second.assignment(), first.assignment()
    second.close()
    harness.poll(first, until=lambda: first.assignment() == [0, 1, 2, 3], deadline_s=SESSION_S / 2)

    assert second.callbacks()[-1] == ("revoked", gone)
    assert first.callbacks()[-1] == ("assigned", gone)
    assert moved([0, 1, 2, 3], gone) == kept


def test_more_members_than_partitions_leave_one_without_but_a_member(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(1), harness.new_name()
    first = harness.join(group, topic)
    second = harness.member(group, topic)
    harness.poll(first, second, until=lambda: second.generation() == first.generation() > 0)

    assert (first.assignment(), second.assignment()) == ([0], [])
    assert parse_membership(second.membership())[2]
    first.close()
    harness.poll(second, until=lambda: second.assignment() == [0])


def test_every_rebalance_has_a_higher_generation_and_a_group_that_was_empty_does_not_begin_anew(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(2), harness.new_name()
    first = harness.join(group, topic)
    generations = [first.generation()]
    second = harness.join(group, topic, first)
    generations.append(first.generation())
    second.close()
    harness.await_rebalanced(topic, first)
    generations.append(first.generation())
    first.close()
    generations.append(harness.join(group, topic).generation())

    assert generations == sorted(set(generations))


def test_groups_do_not_share_their_partitions(harness: ClientHarness) -> None:
    topic = harness.topic(2)
    members = [harness.join(harness.new_name(), topic) for _ in range(2)]

    assert [member.assignment() for member in members] == [[0, 1], [0, 1]]


# --- silence --------------------------------------------------------------------------------------


def test_a_member_suspended_past_its_session_gets_lost_partitions_when_it_polls(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(2), harness.new_name()
    sleeper, sleep, wake = harness.sleeping_member(group, topic)
    harness.await_rebalanced(topic, sleeper)
    before = parse_membership(sleeper.membership())
    sleep()
    other = harness.member(group, topic)
    harness.poll(other, until=lambda: other.assignment() == [0, 1])
    wake()

    assert await_callback(harness, sleeper, "lost", other) == [0, 1]
    harness.await_rebalanced(topic, sleeper, other)
    assert parse_membership(sleeper.membership())[2] != before[2]
    assert len(sleeper.assignment()) == len(other.assignment()) == 1


def test_a_member_that_exceeds_its_poll_interval_leaves_and_gets_lost_partitions_when_it_polls(
    harness: ClientHarness,
) -> None:
    topic, group = harness.topic(2), harness.new_name()
    slow = harness.join(group, topic, max_poll_interval_ms=int(SESSION_S * 1000))
    before = slow.membership()
    harness.pass_time(SESSION_S + 1.5)

    generation, _, name = parse_membership(slow.membership())
    assert (generation, name) == (parse_membership(before)[0], "")
    assert slow.assignment() == [0, 1]
    assert await_callback(harness, slow, "lost") == [0, 1]
    assert slow.errors() == ["_MAX_POLL_EXCEEDED"]
    harness.await_rebalanced(topic, slow)
    assert parse_membership(slow.membership())[2] != parse_membership(before)[2]


# --- reading in a group ---------------------------------------------------------------------------


def test_a_partition_paused_from_the_first_moment_yields_nothing_until_it_is_resumed_at_its_offset(
    harness: ClientHarness,
) -> None:
    topic = harness.topic(2)
    for partition in (0, 1):
        harness.publish(topic, "a", "b", "c", partition=partition)
    consumer = harness.consumer(harness.new_name())
    held: list[TopicPartition] = []

    def assigned(_: object, places: list[TopicPartition]) -> None:
        for place in places:
            place.offset = 0
        consumer.incremental_assign(places)
        consumer.pause(places)
        held.extend(places)

    consumer.subscribe([topic], on_assign=assigned)
    assert harness.poll_until(consumer, lambda _: len(held) == 2) == []
    assert harness.stays_silent(consumer)

    consumer.seek(TopicPartition(topic, 1, 2))
    consumer.resume([TopicPartition(topic, 1)])
    (message,) = harness.poll_until(consumer, lambda found: found)
    assert (message.partition(), message.offset(), message.value()) == (1, 2, b"c")
    assert harness.stays_silent(consumer)


def test_what_was_paused_is_resumed_without_a_record_lost_or_repeated(
    harness: ClientHarness,
) -> None:
    topic = harness.topic()
    harness.publish(topic, "a", "b", "c")
    consumer = harness.consumer()
    place = TopicPartition(topic, 0, 0)
    consumer.assign([place])
    first = consumer.poll(WAIT_S)
    consumer.pause([place])
    assert harness.stays_silent(consumer)
    consumer.resume([place])
    rest = harness.poll_until(consumer, lambda found: len(found) == 2)

    assert first is not None
    assert [message.offset() for message in (first, *rest)] == [0, 1, 2]


def test_a_partition_that_is_added_is_read_from_the_offset_it_is_added_with(
    harness: ClientHarness,
) -> None:
    topic = harness.topic(2)
    for partition in (0, 1):
        harness.publish(topic, "a", "b", "c", partition=partition)
    consumer = harness.consumer(enable_partition_eof=False)
    consumer.assign([TopicPartition(topic, 0, 3)])
    consumer.incremental_assign([TopicPartition(topic, 1, 1)])
    found = harness.poll_until(consumer, lambda messages: len(messages) == 2)

    assert [(m.partition(), m.offset()) for m in found] == [(1, 1), (1, 2)]
    consumer.incremental_unassign([TopicPartition(topic, 1)])
    assert [place.partition for place in consumer.assignment()] == [0]
