"""Transactions that have timed out.

The broker looks for them only every ten seconds, so all tests share these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Producer, TopicPartition

from tests.conformance.harness import ClientHarness

USES: Final = ("commits", "aborts", "sends offsets", "is renewed")
TIMEOUT_MS: Final = 2000
COMMITTED_BEFORE: Final = 3


@dataclass(frozen=True)
class TimedOutTransactions:
    """Transactions that the broker has aborted.

    Each producer wrote a record to `topic`; one sent an offset of `group`.
    """

    topic: str
    group: str
    names: Mapping[str, str]  # use -> transactional id
    producers: Mapping[str, Producer]
    empty: Producer  # its transaction is as old, but empty


def open_until_timed_out(harness: ClientHarness) -> TimedOutTransactions:
    topic, group = harness.topic(), harness.new_name()
    harness.commit(topic, COMMITTED_BEFORE, harness.no_membership(group))
    names = {use: harness.new_name() for use in USES}
    producers = {
        use: harness.producer(name, transaction_timeout_ms=TIMEOUT_MS)
        for use, name in names.items()
    }
    empty = harness.producer(transaction_timeout_ms=TIMEOUT_MS)
    for producer in (empty, *producers.values()):
        producer.begin_transaction()
    place = TopicPartition(topic, 0, COMMITTED_BEFORE + 1)
    producers["commits"].send_offsets_to_transaction([place], harness.no_membership(group))
    for use, producer in producers.items():
        harness.write(producer, topic, f"{use} too late")
    harness.publish(topic, "later")  # returns once no transaction is open
    harness.keep_clients()
    return TimedOutTransactions(topic, group, names, producers, empty)
