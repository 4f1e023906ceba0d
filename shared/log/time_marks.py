"""Marks in the log that tell how new the newest record before them is, so that a time is found.

Kafka's own look-up by time compares the marks that end transactions too. Those carry the broker's
clock and not a candle's time: in a log into which years were imported today, every time is found at
its beginning. A search over the records' own times alone cannot do better, since the history of one
symbol may lie behind the newest candle of another. So the only writer of candles notes in a header,
once in MARK_EVERY records of a partition, the newest time of all records before: this number only
grows along the log, and a binary search is exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.adapters.kafka.backwards_reader import OffsetRangeReader, read_backwards
from shared.adapters.kafka.producer import ProducerRecord
from shared.adapters.kafka.reader import ConsumerRecord
from shared.log.offset_search import search_offset

TIME_MARK: Final = "newest_before_ms"
MARK_EVERY: Final = 1_000  # records of a partition
MOST_UNMARKED: Final = 20_000  # records in a row, after which the log counts as one without marks

_NONE: Final = -1  # the newest time where no record is before


@dataclass(frozen=True, slots=True)
class TimeMark:
    """A record's offset, and the newest timestamp (ms) of the records before it."""

    offset: int
    newest_before_ms: int


class UnmarkedLog(Exception):
    """Raised for a log that has no marks, or none in a long part of it."""


class TimeMarker:
    """Adds marks to the records of a topic; only one writer may do so at a time."""

    def __init__(self, topic: str, newest_ms: dict[int, int]) -> None:
        """Continue a log.

        Args:
            topic: the topic whose records are marked.
            newest_ms: by partition: the newest time of its records; a partition that is missing
                stays unmarked.
        """
        self._topic, self._newest_ms = topic, newest_ms
        self._unmarked = dict.fromkeys(newest_ms, MARK_EVERY)  # records since the last mark

    def mark(self, records: Sequence[ProducerRecord]) -> list[ProducerRecord]:
        """Return the records in their order, some with a mark.

        What is marked and then not written does no harm: a time that is too new makes a search
        begin earlier.
        """
        return [self._mark(r) if r.topic == self._topic else r for r in records]

    def _mark(self, record: ProducerRecord) -> ProducerRecord:
        partition = record.partition
        newest_ms = self._newest_ms.get(partition)
        # A record that is copied from elsewhere may have a mark, which is true there alone.
        if newest_ms is None or any(name == TIME_MARK for name, _ in record.headers):
            headers = [header for header in record.headers if header[0] != TIME_MARK]
            record = replace(record, headers=headers)
        if newest_ms is None:
            return record
        self._newest_ms[partition] = max(newest_ms, record.timestamp_ms)
        self._unmarked[partition] += 1
        if self._unmarked[partition] <= MARK_EVERY:
            return record
        self._unmarked[partition] = 1
        header = (TIME_MARK, str(max(newest_ms, 0)).encode())
        return replace(record, headers=[*record.headers, header])


def read_newest_ms(reader: OffsetRangeReader, partition: int) -> int | None:
    """Return the newest time (ms) of a partition's records, -1 without any; None if it is unmarked.

    Args:
        reader: of the topic, with headers.
        partition: the partition.

    Raises:
        Unavailable: Kafka does not answer.
    """
    newest_ms, count, first = _NONE, 0, reader.ends(partition)[0]
    for span in read_backwards(reader, partition):
        records = list(span)
        marks = list(_marks(records))
        newest_ms = max([newest_ms, *(each.timestamp_ms for each in records)])
        if marks:
            return max(newest_ms, marks[-1].newest_before_ms)
        count += len(records)
        if count >= MOST_UNMARKED:
            return None
    return newest_ms if first == 0 else None


def find_offset(reader: OffsetRangeReader, partition: int, time_ms: int) -> int:
    """Return an offset before which every record is older than a time.

    At most about two times MARK_EVERY of the records behind it are older too.

    Args:
        reader: of the topic, with headers.
        partition: the partition.
        time_ms: the time, by the records' timestamps.

    Raises:
        UnmarkedLog: there are no marks to search by.
        Unavailable: Kafka does not answer.
    """

    def look(start: int, end: int) -> int | None:
        mark = _next_mark(reader, partition, start, end)
        return mark.offset if mark is not None and mark.newest_before_ms < time_ms else None

    return search_offset(reader, partition, MARK_EVERY, look)


def _next_mark(reader: OffsetRangeReader, partition: int, start: int, end: int) -> TimeMark | None:
    """Return the first mark within a span of offsets; None if it has none."""
    count = 0
    for block in reader.read(partition, start, end):
        found = next(_marks(block), None)
        if found is not None:
            return found
        count += len(block)
        if count >= MOST_UNMARKED:
            raise UnmarkedLog(f"no time mark in {count} records from offset {start} on")
    return None


def _marks(records: Sequence[ConsumerRecord]) -> Iterator[TimeMark]:
    for record in records:
        text = (record.headers or {}).get(TIME_MARK, b"")
        if text.isdigit() and len(text) <= len(str(2**63)):
            yield TimeMark(record.offset, int(text))
