"""Interfaces of the predictor, implemented by adapters and by the tests' fakes."""

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

from shared.adapters.kafka.consumer_group import Batch
from shared.adapters.kafka.producer import OffsetsToCommit, ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord
from shared.core.online.partition import PartitionState


class ConsumerGroup(Protocol):
    """This replica's membership of the consumer group."""

    def poll(self, max_records: int, timeout_s: float, /) -> Batch | None:
        """Return the next records, or None if there are none within the timeout."""

    def is_member(self) -> bool:
        """Return whether the group counts this replica as a member."""

    def committed(self, partition: int, /) -> int | None:
        """Return the committed offset, waiting while a transaction on it is pending."""

    def end_offset(self, partition: int, /) -> int | None:
        """Return the offset after the newest record, as heard with the last fetch, or None."""

    def pause(self, partition: int, /) -> None:
        """Stop fetching a partition."""

    def resume(self, partition: int, offset: int, /) -> None:
        """Seek to an offset and fetch the partition from there."""


class PredictionWriter(Protocol):
    """A writer of Kafka transactions."""

    def write(
        self, records: list[ProducerRecord], offsets: OffsetsToCommit | None = None, /
    ) -> None:
        """Write the records and commit the offsets in one transaction.

        Raises:
            Aborted: nothing of it is visible.
            OutcomeUnknown: it may be visible; only the log can tell.
            Fenced: another process has this transactional id.
        """


class TopicHistory(Protocol):
    """A topic read by offsets, outside any consumer group; only committed records are seen."""

    def ends(self, partition: int, /) -> tuple[int, int]:
        """Return the first offset and the offset after the last record."""

    def offset_at(self, partition: int, time_ms: int, /) -> int:
        """Return the first offset whose record has this timestamp or a later one."""

    def read(
        self, partition: int, start: int, end: int | None = None, /
    ) -> Iterator[list[ConsumerRecord]]:
        """Yield the records from `start` up to, not including, `end` (None: the end now)."""

    def first_open_record(self, partition: int, /) -> ConsumerRecord | None:
        """Return the first record of the oldest open transaction, with headers; None: none is."""

    def is_settled(self, partition: int, /) -> bool:
        """Return whether every transaction that has written so far is committed or aborted."""


StateLoading = Generator[None, None, PartitionState | None]
"""Yields while a state is loaded; returns it."""


class StateStore(Protocol):
    """A store of partition states that may lag the log and may lose everything."""

    def load_in_blocks(self, partition: int, profile: str, /) -> StateLoading:
        """Load the stored state of a partition, some symbols at a time.

        Yields after each of them, and returns the state, or None if there is none to use.

        Raises:
            Unavailable: the store does not answer.
        """

    def save(
        self,
        partition: int,
        profile: str,
        state: PartitionState,
        changed: Iterable[str],
        base_offset: int | None,
        /,
    ) -> bool:
        """Store the changed symbols, then the applied offset; never replace newer by older.

        Args:
            partition: the partition.
            profile: the numeric profile that computed the state.
            state: the state to store.
            changed: the symbols that changed since `base_offset`.
            base_offset: the applied offset stored before; None: `changed` names every symbol.

        Returns:
            Whether `base_offset` was still stored. If not, the store lost it: store all symbols.

        Raises:
            Unavailable: the store does not answer.
        """
