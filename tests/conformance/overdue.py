"""Transactions that were open for too long. The broker looks for them every ten seconds only: all tests share these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Producer, TopicPartition

from tests.conformance.harness import Kit

USES: Final = ("commits", "aborts", "sends offsets", "is renewed")
TIMEOUT_MS: Final = 2000
COMMITTED_BEFORE: Final = 3


@dataclass(frozen=True)
class Overdue:
    """What the broker has taken back by now: in `topic` each producer wrote a record, in `group` one sent an offset."""

    topic: str
    group: str
    names: Mapping[str, str]  # use -> transactional id
    producers: Mapping[str, Producer]
    empty: Producer  # its transaction is as old, but nothing was written in it


def overdue(kit: Kit) -> Overdue:
    topic, group = kit.topic(), kit.new_name()
    kit.commit(topic, COMMITTED_BEFORE, kit.no_membership(group))
    names = {use: kit.new_name() for use in USES}
    producers = {
        use: kit.producer(name, transaction_timeout_ms=TIMEOUT_MS) for use, name in names.items()
    }
    empty = kit.producer(transaction_timeout_ms=TIMEOUT_MS)
    for producer in (empty, *producers.values()):
        producer.begin_transaction()
    place = TopicPartition(topic, 0, COMMITTED_BEFORE + 1)
    producers["commits"].send_offsets_to_transaction([place], kit.no_membership(group))
    for use, producer in producers.items():
        kit.write(producer, topic, f"{use} too late")
    kit.publish(topic, "later")  # returns once no transaction is open
    kit.keep()
    return Overdue(topic, group, names, producers, empty)
