"""A consumer group as Kafka describes it, seen from outside."""

import pytest

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.consumer_group import ConsumerGroupMember
from shared.adapters.kafka.group_inspector import GroupInspector
from shared.adapters.kafka.group_settings import GroupProtocol, GroupSettings
from shared.core.errors import Unavailable
from tests.support.deployment import Deployment
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


def inspector_of(deployment: Deployment) -> GroupInspector:
    group = f"{deployment.prefix}group"
    return GroupInspector(deployment.kafka, group, deployment.topics.klines)


def is_available(inspector: GroupInspector) -> bool:
    """Return whether the group can be described: a broker that has just started cannot yet."""
    try:
        inspector.describe()
    except Unavailable:
        return False
    return True


def test_a_group_that_never_was_has_no_members_and_no_offsets(deployment: Deployment) -> None:
    inspector = inspector_of(deployment)

    eventually(lambda: is_available(inspector))
    assert inspector.describe().members == ()
    offsets = inspector.offsets(deployment.partitions)
    assert [(each.committed, each.end, each.lag) for each in offsets] == [(None, 0, 0)] * 3


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_members_are_named_with_their_partitions(
    deployment: Deployment, protocol: GroupProtocol
) -> None:
    inspector = inspector_of(deployment)
    member = ConsumerGroupMember(
        deployment.kafka,
        f"{deployment.prefix}group",
        deployment.topics.klines,
        GroupSettings(protocol),
    )
    member.subscribe(lambda _: None, lambda _: None)

    def is_assigned() -> bool:
        member.poll(1, 0.1)
        group = inspector.describe()
        return group.is_settled and [each.partitions for each in group.members] == [(0, 1, 2)]

    try:
        eventually(is_assigned)
        (found,) = inspector.describe().members
    finally:
        member.close()

    assert found.host == "127.0.0.1"
    assert found.member_id


def test_what_nobody_has_read_is_lag(deployment: Deployment) -> None:
    deployment.publish([("BTCUSDT", b"a"), ("BTCUSDT", b"b")], partition=1)
    deployment.await_settled(deployment.topics.klines, 1)

    offsets = inspector_of(deployment).offsets(deployment.partitions)

    assert [each.lag for each in offsets] == [0, 2, 0]


def test_brokers_and_topics_are_listed(deployment: Deployment) -> None:
    brokers, topics = inspector_of(deployment).metadata()

    assert brokers == 1
    assert set(deployment.topics.specifications()) <= topics


def test_without_kafka_it_is_unavailable() -> None:
    inspector = GroupInspector(KafkaConnection("127.0.0.1:1"), "group", "klines.5m")

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        inspector.describe()
