"""Records of the newest part of a partition, read backwards as far as wanted."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from shared.adapters.kafka.backwards_reader import LARGEST_BLOCK, OffsetRangeReader
from shared.adapters.kafka.reader import ConsumerRecord

T = TypeVar("T")

FIRST_BLOCK: Final = 16_000
MOST_NEW: Final = 200_000


@dataclass(slots=True)
class ReadingBudget:
    """Bounds what one request may read, in records and in time."""

    records: int
    until_s: float  # on the clock
    clock: Callable[[], float]

    def spend(self, records: int) -> None:
        """Count records that were read."""
        self.records -= records

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be read."""
        return self.records <= 0 or self.clock() >= self.until_s


@dataclass(slots=True)
class LogRegion(Generic[T]):
    """What records of a partition say, of all offsets from one on up to another.

    `values` are in the order of the log; a record that `decode` returns None for is left out.
    """

    partition: int
    key: bytes | None  # of the records that are looked at; None: all
    decode: Callable[[ConsumerRecord], T | None]
    first_block: int = FIRST_BLOCK
    most_new: int = MOST_NEW  # with more, it is read anew from the end instead of being continued
    values: list[T] = field(default_factory=list)
    is_whole: bool = False  # it begins where the partition does
    _from: int = 0
    _until: int | None = None  # None: nothing was read yet

    def read_new(self, reader: OffsetRangeReader) -> None:
        """Read what was appended since the last reading; the first one begins at the end.

        Raises:
            Unavailable: Kafka does not answer.
        """
        first, end = reader.ends(self.partition)
        until = end if self._until is None else self._until
        # A topic that was deleted and created again ends before what was read.
        if self._until is None or not end - self.most_new <= until <= end:
            self.values, self._from, until = [], end, end
        added = self._read(reader, until, end)
        self.values, self._until, self.is_whole = self.values + added, end, self._from <= first

    def read_older(
        self,
        reader: OffsetRangeReader,
        has_enough: Callable[[], bool],
        budget: ReadingBudget,
    ) -> None:
        """Read backwards until there is enough, the log begins, or the budget is spent.

        Raises:
            Unavailable: Kafka does not answer.
        """
        first, _ = reader.ends(self.partition)
        size = self.first_block
        while not (self.is_whole or budget.is_spent or has_enough()):
            begin = max(first, self._from - size)
            older = self._read(reader, begin, self._from)
            budget.spend(self._from - begin)
            self.values, self._from, self.is_whole = older + self.values, begin, begin <= first
            size = min(2 * size, LARGEST_BLOCK)

    def _read(self, reader: OffsetRangeReader, begin: int, end: int) -> list[T]:
        blocks = reader.read(self.partition, begin, end) if begin < end else ()
        return [value for block in blocks for value in self._values_of(block)]

    def _values_of(self, records: Iterable[ConsumerRecord]) -> list[T]:
        key = self.key
        wanted = records if key is None else (each for each in records if each.key == key)
        return [value for value in map(self.decode, wanted) if value is not None]
