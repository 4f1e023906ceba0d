"""The end of a log: what stands there last, once every transaction is settled."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Final, Protocol, TypeVar

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from shared.adapters.kafka.errors import to_app_error
from shared.adapters.kafka.reader import ANSWER_S, ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.core.errors import Unavailable

SETTLED_S: Final = (
    30.0  # longer than the writers' transaction time-out and the broker's search for such
)
FIRST_BLOCK: Final = 2_000
LARGEST_BLOCK: Final = 64_000

T = TypeVar("T")


def await_settled(bootstrap: str, topic: str, reader: Reader, partitions: Iterable[int]) -> None:
    """Wait until every transaction that has written so far is committed or taken back.

    An open transaction hides whatever was committed after it began, and a commit is answered before its records can
    be read. So whoever reads a log's end in order to go on writing must wait first, or it would write twice.

    Raises:
        Unavailable: Kafka does not answer, or a transaction stays open.
    """
    written = _written(bootstrap, topic, partitions)

    def open_partition() -> int | None:
        return next((p for p, end in written.items() if reader.ends(p)[1] < end), None)

    if not wait_until(lambda: open_partition() is None, timeout_s=SETTLED_S):
        text = (
            f"a transaction on {topic}/{open_partition()} has been open for {SETTLED_S:g} s;"
            " its writer must commit or abort it"
        )
        raise Unavailable(text)


class Spans(Protocol):
    """A topic read by spans of offsets."""

    def ends(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the one after the last."""

    def read(
        self, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[ConsumerRecord]]:
        """Yield the records of a span of offsets."""


def read_backwards(
    reader: Spans, partition: int, first_block: int = FIRST_BLOCK
) -> Iterator[Iterator[ConsumerRecord]]:
    """Yield spans of a partition, the last one first, each twice as long as the one before.

    The records of a span come in the order of the log, and are read as they are asked for: all, before the next span.

    Args:
        reader: of the topic.
        partition: which to read.
        first_block: offsets of the last span.

    Raises:
        Unavailable: Kafka does not answer.
    """
    first, end = reader.ends(partition)
    size = first_block
    while end > first:
        start = max(first, end - size)
        yield chain.from_iterable(reader.read(partition, start, end))
        end, size = start, min(size * 2, LARGEST_BLOCK)


def last_record_of_each_key(
    reader: Reader,
    partition: int,
    keys: Collection[bytes],
    value_of: Callable[[ConsumerRecord], T | None],
) -> dict[bytes, T]:
    """Return what the last record of each key gives, reading backwards and no further than needed.

    Args:
        reader: of the topic.
        partition: where the keys lie.
        keys: those wanted; one that has no record is missing in the answer.
        value_of: what a record gives; None passes it over.

    Raises:
        Unavailable: Kafka does not answer.
    """
    missing, found = set(keys), dict[bytes, T]()
    spans = read_backwards(reader, partition)
    while missing and (span := next(spans, None)) is not None:
        for record in reversed([record for record in span if record.key in missing]):
            if record.key in missing and (value := value_of(record)) is not None:
                missing.discard(record.key)
                found[record.key] = value
    return found


def _written(bootstrap: str, topic: str, partitions: Iterable[int]) -> dict[int, int]:
    """Return where each partition ends, whether readers may see it yet or not."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
    if not asked:
        return {}
    futures = admin.list_offsets(
        asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=ANSWER_S
    )
    try:
        return {place.partition: int(future.result().offset) for place, future in futures.items()}
    except KafkaException as error:
        raise to_app_error(error, bootstrap, f"asking for the ends of {topic}") from error
