from confluent_kafka import TopicPartition

from tests.conformance.harness import SESSION_S, WAIT_S, Kit
from tests.conformance.member import GroupMember, parsed


def moved(before: list[int], after: list[int]) -> list[int]:
    return sorted(set(before) - set(after))


def when_told(kit: Kit, member: GroupMember, what: str, *others: GroupMember) -> list[int]:
    """Poll until a callback of this kind came; return what it named."""

    def named() -> list[list[int]]:
        return [partitions for kind, partitions in member.told() if kind == what]

    kit.poll(member, *others, until=named)
    return named()[-1]


# --- joining and leaving ------------------------------------------------------------------------------


def test_before_it_has_joined_a_client_has_neither_generation_nor_member_name(kit: Kit) -> None:
    group = kit.new_name()
    consumer = kit.consumer(group)

    assert parsed(bytes(consumer.consumer_group_metadata())) == (-1, group, "")


def test_a_lone_member_gets_every_partition(kit: Kit) -> None:
    topic = kit.topic(4)
    member = kit.joined(kit.new_name(), topic)

    assert member.held() == [0, 1, 2, 3]
    assert member.told() == [("assigned", [0, 1, 2, 3])]
    generation, _, name = parsed(member.membership())
    assert generation > 0
    assert name


def test_a_second_member_takes_its_share_and_the_first_is_told_of_nothing_but_what_goes(
    kit: Kit,
) -> None:
    topic, group = kit.topic(4), kit.new_name()
    first = kit.joined(group, topic)
    second = kit.joined(group, topic, first)
    gone = moved([0, 1, 2, 3], first.held())

    assert len(first.held()) == len(second.held()) == 2
    assert first.told() == [("assigned", [0, 1, 2, 3]), ("revoked", gone)]
    assert second.told() == [("assigned", gone)]


def test_a_partition_that_is_kept_goes_on_where_it_was(kit: Kit) -> None:
    topic, group = kit.topic(2), kit.new_name()
    for partition in (0, 1):
        kit.publish(topic, "a", "b", partition=partition)
    first = kit.joined(group, topic)
    kit.poll(first, until=lambda: len(first.read()) == 4)
    second = kit.joined(group, topic, first)
    (kept,) = first.held()
    kit.publish(topic, "c", partition=kept)
    kit.poll(first, second, until=lambda: len(first.read()) > 4)

    assert first.read()[4:] == [(kept, 3)]


def test_a_member_that_closes_is_told_and_hands_over_at_once(kit: Kit) -> None:
    topic, group = kit.topic(4), kit.new_name()
    first = kit.joined(group, topic)
    second = kit.joined(group, topic, first)
    gone, kept = second.held(), first.held()
    second.close()
    kit.poll(first, until=lambda: first.held() == [0, 1, 2, 3], deadline_s=SESSION_S / 2)

    assert second.told()[-1] == ("revoked", gone)
    assert first.told()[-1] == ("assigned", gone)
    assert moved([0, 1, 2, 3], gone) == kept


def test_more_members_than_partitions_leave_one_without_but_a_member(kit: Kit) -> None:
    topic, group = kit.topic(1), kit.new_name()
    first = kit.joined(group, topic)
    second = kit.member(group, topic)
    kit.poll(first, second, until=lambda: second.generation() == first.generation() > 0)

    assert (first.held(), second.held()) == ([0], [])
    assert parsed(second.membership())[2]
    first.close()
    kit.poll(second, until=lambda: second.held() == [0])


def test_every_rebalance_has_a_higher_generation_and_a_group_that_was_empty_does_not_begin_anew(
    kit: Kit,
) -> None:
    topic, group = kit.topic(2), kit.new_name()
    first = kit.joined(group, topic)
    generations = [first.generation()]
    second = kit.joined(group, topic, first)
    generations.append(first.generation())
    second.close()
    kit.share(topic, first)
    generations.append(first.generation())
    first.close()
    generations.append(kit.joined(group, topic).generation())

    assert generations == sorted(set(generations))


def test_groups_do_not_share_their_partitions(kit: Kit) -> None:
    topic = kit.topic(2)
    members = [kit.joined(kit.new_name(), topic) for _ in range(2)]

    assert [member.held() for member in members] == [[0, 1], [0, 1]]


# --- silence ------------------------------------------------------------------------------------------


def test_a_member_that_stood_still_for_longer_than_its_session_has_lost_everything_and_hears_it_when_it_polls(
    kit: Kit,
) -> None:
    topic, group = kit.topic(2), kit.new_name()
    sleeper, sleep, wake = kit.sleeping_member(group, topic)
    kit.share(topic, sleeper)
    before = parsed(sleeper.membership())
    sleep()
    other = kit.member(group, topic)
    kit.poll(other, until=lambda: other.held() == [0, 1])
    wake()

    assert when_told(kit, sleeper, "lost", other) == [0, 1]
    kit.share(topic, sleeper, other)
    assert parsed(sleeper.membership())[2] != before[2]
    assert len(sleeper.held()) == len(other.held()) == 1


def test_a_member_that_does_not_poll_for_too_long_leaves_by_itself_and_hears_it_when_it_polls(
    kit: Kit,
) -> None:
    topic, group = kit.topic(2), kit.new_name()
    slow = kit.joined(group, topic, max_poll_interval_ms=int(SESSION_S * 1000))
    before = slow.membership()
    kit.pass_time(SESSION_S + 1.5)

    generation, _, name = parsed(slow.membership())
    assert (generation, name) == (parsed(before)[0], "")
    assert slow.held() == [0, 1]
    assert when_told(kit, slow, "lost") == [0, 1]
    assert slow.events() == ["_MAX_POLL_EXCEEDED"]
    kit.share(topic, slow)
    assert parsed(slow.membership())[2] != parsed(before)[2]


# --- reading in a group -------------------------------------------------------------------------------


def test_a_partition_paused_from_the_first_moment_yields_nothing_until_it_is_resumed_where_told(
    kit: Kit,
) -> None:
    topic = kit.topic(2)
    for partition in (0, 1):
        kit.publish(topic, "a", "b", "c", partition=partition)
    consumer = kit.consumer(kit.new_name())
    held: list[TopicPartition] = []

    def assigned(_: object, places: list[TopicPartition]) -> None:
        for place in places:
            place.offset = 0
        consumer.incremental_assign(places)
        consumer.pause(places)
        held.extend(places)

    consumer.subscribe([topic], on_assign=assigned)
    assert kit.polled(consumer, lambda _: len(held) == 2) == []
    assert kit.nothing_comes(consumer)

    consumer.seek(TopicPartition(topic, 1, 2))
    consumer.resume([TopicPartition(topic, 1)])
    (message,) = kit.polled(consumer, lambda found: found)
    assert (message.partition(), message.offset(), message.value()) == (1, 2, b"c")
    assert kit.nothing_comes(consumer)


def test_what_was_paused_is_resumed_without_a_record_lost_or_repeated(kit: Kit) -> None:
    topic = kit.topic()
    kit.publish(topic, "a", "b", "c")
    consumer = kit.consumer()
    place = TopicPartition(topic, 0, 0)
    consumer.assign([place])
    first = consumer.poll(WAIT_S)
    consumer.pause([place])
    assert kit.nothing_comes(consumer)
    consumer.resume([place])
    rest = kit.polled(consumer, lambda found: len(found) == 2)

    assert first is not None
    assert [message.offset() for message in (first, *rest)] == [0, 1, 2]


def test_a_partition_that_is_added_is_read_from_the_offset_it_is_added_with(kit: Kit) -> None:
    topic = kit.topic(2)
    for partition in (0, 1):
        kit.publish(topic, "a", "b", "c", partition=partition)
    consumer = kit.consumer(enable_partition_eof=False)
    consumer.assign([TopicPartition(topic, 0, 3)])
    consumer.incremental_assign([TopicPartition(topic, 1, 1)])
    found = kit.polled(consumer, lambda messages: len(messages) == 2)

    assert [(m.partition(), m.offset()) for m in found] == [(1, 1), (1, 2)]
    consumer.incremental_unassign([TopicPartition(topic, 1)])
    assert [place.partition for place in consumer.assignment()] == [0]
