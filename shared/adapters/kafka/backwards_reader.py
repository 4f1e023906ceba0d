"""Read the end of a log, once every transaction is settled."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Final, Protocol, TypeVar

from shared.adapters.kafka.reader import ConsumerRecord, Reader
from shared.adapters.retry import wait_until
from shared.core.errors import Unavailable

# Longer than a transaction's time-out plus the interval in which the broker looks for such.
SETTLED_S: Final = 30.0
FIRST_BLOCK: Final = 2_000
LARGEST_BLOCK: Final = 64_000

T = TypeVar("T")


def await_settled(reader: Reader, partitions: Iterable[int]) -> None:
    """Wait until every transaction that has written so far is committed or aborted.

    An open transaction hides the records that were committed after it began, and a commit is
    answered before its records can be read. So a process that reads the end of a log in order to
    continue it must wait first, or it would write records twice.

    Raises:
        Unavailable: Kafka does not answer, or a transaction stays open.
    """
    written = {partition: reader.written_end(partition) for partition in partitions}

    def open_partition() -> int | None:
        return next((p for p, end in written.items() if reader.ends(p)[1] < end), None)

    if not wait_until(lambda: open_partition() is None, timeout_s=SETTLED_S):
        raise Unavailable(
            f"a transaction on {reader.topic}/{open_partition()} has been open for {SETTLED_S:g} s;"
            " its writer must commit or abort it"
        )


class OffsetRangeReader(Protocol):
    """Reads spans of offsets."""

    def ends(self, partition: int) -> tuple[int, int]:
        """Return the first offset and the one after the last."""

    def read(
        self, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[ConsumerRecord]]:
        """Yield the records of a span of offsets."""


def read_backwards(
    reader: OffsetRangeReader, partition: int, first_block: int = FIRST_BLOCK, start: int = 0
) -> Iterator[Iterator[ConsumerRecord]]:
    """Yield spans of a partition, the last one first, each twice as long as the one before.

    Within a span the records come in the order of the log. A span is read while it is iterated,
    so it must be exhausted before the next one is asked for.

    Args:
        reader: of the topic.
        partition: the partition to read.
        first_block: offsets of the last span.
        start: the offset to stop at.

    Raises:
        Unavailable: Kafka does not answer.
    """
    first, end = reader.ends(partition)
    first, size = max(first, start), first_block
    while end > first:
        begin = max(first, end - size)
        yield chain.from_iterable(reader.read(partition, begin, end))
        end, size = begin, min(size * 2, LARGEST_BLOCK)


def last_record_of_each_key(
    reader: Reader,
    partition: int,
    keys: Collection[bytes],
    value_of: Callable[[ConsumerRecord], T | None],
) -> dict[bytes, T]:
    """Return a value of each key's last record, reading backwards and no further than needed.

    Args:
        reader: of the topic.
        partition: the keys' partition.
        keys: the wanted keys; one without a record is missing in the result.
        value_of: returns a record's value, or None to skip the record.

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
