"""Groups of the protocol `consumer` (KIP-848), as far as the predictor relies on them.

What differs from the classic protocol: the broker shares out the partitions and decides session and
heartbeat; a client has its name from the beginning; and offsets are taken or refused for each
partition, so that a rebalance elsewhere disturbs no batch.
"""

import pytest

from shared.adapters.kafka.consumer_group import is_member
from tests.conformance.harness import SESSION_S, ClientHarness
from tests.conformance.member import RecordingMember, build_membership, parse_membership
from tests.conformance.test_groups import await_callback, moved
from tests.conformance.test_offsets import STALE_GENERATION, UNKNOWN_MEMBER, commit_error


def two_members(harness: ClientHarness) -> tuple[str, str, bytes, RecordingMember, RecordingMember]:
    """Return topic, group, the first member's membership when it was alone, and both members."""
    topic, group = harness.topic(2), harness.new_name()
    first = harness.join(group, topic)
    alone = first.membership()
    return topic, group, alone, first, harness.join(group, topic, first)


def given_up(member: RecordingMember) -> list[int]:
    """Return the partitions that were revoked from a member, or lost."""
    kinds = ("revoked", "lost")
    return sorted(p for kind, partitions in member.callbacks() if kind in kinds for p in partitions)


# --- joining and leaving --------------------------------------------------------------------------


def test_a_client_has_a_name_before_it_joins_and_is_no_member_yet(
    consumer_harness: ClientHarness,
) -> None:
    group = consumer_harness.new_name()
    membership = bytes(consumer_harness.consumer(group).consumer_group_metadata())

    generation, _, name = parse_membership(membership)
    assert generation < 1
    assert name
    assert not is_member(membership)


def test_a_lone_member_gets_every_partition_and_keeps_its_name(
    consumer_harness: ClientHarness,
) -> None:
    topic, group = consumer_harness.topic(4), consumer_harness.new_name()
    member = consumer_harness.member(group, topic)
    name = parse_membership(member.membership())[2]
    consumer_harness.await_rebalanced(topic, member)

    assert member.callbacks() == [("assigned", [0, 1, 2, 3])]
    assert parse_membership(member.membership())[2] == name
    assert is_member(member.membership())


def test_a_second_member_takes_its_share_and_the_first_loses_nothing_else(
    consumer_harness: ClientHarness,
) -> None:
    _, _, _, first, second = two_members(consumer_harness)
    gone = moved([0, 1], first.assignment())

    assert first.callbacks() == [("assigned", [0, 1]), ("revoked", gone)]
    assert second.callbacks() == [("assigned", gone)]


def test_a_member_that_closes_hands_over_at_once(consumer_harness: ClientHarness) -> None:
    _, _, _, first, second = two_members(consumer_harness)
    gone = second.assignment()
    second.close()
    consumer_harness.poll(
        first, until=lambda: first.assignment() == [0, 1], deadline_s=SESSION_S / 2
    )

    assert second.callbacks()[-1] == ("revoked", gone)
    assert first.callbacks()[-1] == ("assigned", gone)


# --- whose offsets are taken ----------------------------------------------------------------------


def test_offsets_of_a_member_are_taken(consumer_harness: ClientHarness) -> None:
    topic, group = consumer_harness.topic(), consumer_harness.new_name()
    member = consumer_harness.join(group, topic)
    consumer_harness.commit(topic, 1, member.membership())

    assert consumer_harness.committed(group, topic) == 1


def test_a_membership_from_before_a_rebalance_counts_for_what_was_kept_and_not_for_what_moved(
    consumer_harness: ClientHarness,
) -> None:
    topic, group, alone, first, second = two_members(consumer_harness)
    (kept,), (gone,) = first.assignment(), second.assignment()
    consumer_harness.commit(topic, 7, alone, kept)

    assert consumer_harness.committed(group, topic, kept) == 7
    assert commit_error(consumer_harness, topic, alone, gone) == STALE_GENERATION
    assert consumer_harness.committed(group, topic, gone) < 0


def test_what_moved_away_and_came_back_is_refused_to_the_memberships_from_before(
    consumer_harness: ClientHarness,
) -> None:
    topic, group, alone, first, second = two_members(consumer_harness)
    between, (gone,) = first.membership(), second.assignment()
    second.close()
    consumer_harness.poll(first, until=lambda: first.assignment() == [0, 1])

    for before in (alone, between):
        assert commit_error(consumer_harness, topic, before, gone) == STALE_GENERATION
    consumer_harness.commit(topic, 7, first.membership(), gone)
    assert consumer_harness.committed(group, topic, gone) == 7


@pytest.mark.parametrize("generation", [-1, 0, 99])
def test_a_generation_that_the_member_does_not_have_is_refused(
    consumer_harness: ClientHarness, generation: int
) -> None:
    topic, group = consumer_harness.topic(), consumer_harness.new_name()
    _, _, name = parse_membership(consumer_harness.join(group, topic).membership())
    other = build_membership(generation, group, name)

    assert commit_error(consumer_harness, topic, other) == STALE_GENERATION


def test_a_name_that_is_no_members_is_unknown(consumer_harness: ClientHarness) -> None:
    topic, group = consumer_harness.topic(), consumer_harness.new_name()
    generation, _, _ = parse_membership(consumer_harness.join(group, topic).membership())
    nobody = build_membership(generation, group, "nobody")

    assert commit_error(consumer_harness, topic, nobody) == UNKNOWN_MEMBER


def test_a_client_that_never_joined_is_refused(consumer_harness: ClientHarness) -> None:
    topic, group = consumer_harness.topic(), consumer_harness.new_name()
    consumer_harness.join(group, topic)
    stranger = consumer_harness.no_membership(group)

    assert commit_error(consumer_harness, topic, stranger) == UNKNOWN_MEMBER


def test_a_member_that_has_left_is_unknown(consumer_harness: ClientHarness) -> None:
    topic, _, _, _, second = two_members(consumer_harness)
    left = second.membership()
    second.close()

    assert commit_error(consumer_harness, topic, left) == UNKNOWN_MEMBER


# --- silence --------------------------------------------------------------------------------------


def test_a_member_that_is_cut_off_goes_on_without_knowing_and_its_offsets_are_refused(
    consumer_harness: ClientHarness,
) -> None:
    topic, group = consumer_harness.topic(2), consumer_harness.new_name()
    sleeper, sleep, wake = consumer_harness.sleeping_member(group, topic)
    consumer_harness.await_rebalanced(topic, sleeper)
    zombie = sleeper.membership()
    sleep()
    other = consumer_harness.member(group, topic)
    consumer_harness.poll(other, until=lambda: other.assignment() == [0, 1])
    assert commit_error(consumer_harness, topic, zombie) == UNKNOWN_MEMBER
    wake()

    # It has no session of its own: it looks like a member, with its partitions, until it is told.
    assert sleeper.membership() == zombie
    assert sleeper.assignment() == [0, 1]
    assert await_callback(consumer_harness, sleeper, "lost", other) == [0, 1]
    consumer_harness.await_rebalanced(topic, sleeper, other)
    generation, _, name = parse_membership(sleeper.membership())
    assert name == parse_membership(zombie)[2]
    assert generation > parse_membership(zombie)[0]
    for partition in (0, 1):
        assert commit_error(consumer_harness, topic, zombie, partition) == STALE_GENERATION


def test_a_member_that_exceeds_its_poll_interval_is_unknown_and_looks_like_a_member(
    consumer_harness: ClientHarness,
) -> None:
    topic, group = consumer_harness.topic(2), consumer_harness.new_name()
    slow = consumer_harness.join(group, topic, max_poll_interval_ms=int(SESSION_S * 1000))
    before, other = slow.membership(), consumer_harness.member(group, topic)
    consumer_harness.poll(other, until=lambda: other.assignment() == [0, 1])

    assert slow.membership() == before
    assert slow.assignment() == [0, 1]
    assert commit_error(consumer_harness, topic, before) == UNKNOWN_MEMBER
    consumer_harness.poll(slow, other, until=lambda: given_up(slow) == [0, 1])
    # Nothing is said if the broker, on a busy machine, has expelled it before that.
    assert set(slow.errors()) <= {"_MAX_POLL_EXCEEDED"}
    consumer_harness.await_rebalanced(topic, slow, other)
