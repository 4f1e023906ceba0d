import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, Message

from shared.adapters.kafka.connection import KafkaConnection
from shared.adapters.kafka.consumer_group import ConsumerGroupMember, is_member
from shared.adapters.kafka.group_settings import GroupProtocol, GroupSettings
from shared.core.errors import Incompatible


def membership(generation: int, member: bytes) -> bytes:
    return (
        b"CGMDv2:"
        + generation.to_bytes(4, sys.byteorder, signed=True)
        + b"group\0"
        + member
        + b"\0\1"
    )


@pytest.mark.parametrize(
    ("generation", "member", "is_one"),
    [(1, b"rdkafka-1", True), (7, b"x", True), (-1, b"rdkafka-1", False), (3, b"", False)],
)
def test_a_membership_names_a_generation_and_a_member(
    generation: int, member: bytes, is_one: bool
) -> None:
    assert is_member(membership(generation, member)) is is_one


def test_a_member_that_is_joining_has_its_name_and_generation_0_and_is_none_yet() -> None:
    assert is_member(membership(0, b"rdkafka-1")) is False


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_the_client_writes_memberships_as_we_read_them(protocol: GroupProtocol) -> None:
    member = ConsumerGroupMember(
        KafkaConnection("127.0.0.1:1"), "group", "klines.5m", GroupSettings(protocol)
    )

    assert is_member(member.membership()) is False
    member.close()


class FatalConsumer:
    """The behaviour of a client whose protocol the broker does not know."""

    def __init__(self, _: dict[str, Any]) -> None:
        pass

    def poll(self, _: float) -> Message:
        text = "Fatal error: Broker: API version not supported: ConsumerGroupHeartbeat"
        error = KafkaError(KafkaError._FATAL, text)
        return cast(Message, SimpleNamespace(error=lambda: error))

    def consume(self, _: int, timeout: float) -> list[Message]:
        return []

    def consumer_group_metadata(self) -> bytes:
        return membership(-1, b"name")


def test_a_broker_without_the_protocol_is_named_with_what_to_set() -> None:
    member = ConsumerGroupMember(
        KafkaConnection("127.0.0.1:1"),
        "group",
        "klines.5m",
        GroupSettings("consumer"),
        client=cast(Any, FatalConsumer),
    )

    with pytest.raises(Incompatible, match=r"ConsumerGroupHeartbeat.*GROUP_PROTOCOL=classic"):
        member.poll(1, 0.0)


def test_another_format_is_refused() -> None:
    with pytest.raises(Incompatible, match="locked"):
        is_member(b"CGMDv3:")
