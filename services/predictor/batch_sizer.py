"""Choose how many records the next batch may hold."""

from typing import Final

# After an idle moment: so few that the first predictions of a close do not wait for the last.
FIRST_RECORDS: Final = 32
# While many symbols close at once: a batch's predictions appear together, so it must not take
# long; but each transaction costs the broker as much as dozens of its records.
CLOSE_RECORDS: Final = 512
GROWTH: Final = 4  # of a batch that follows a full one
# So many full batches in a row are no close but a backlog: then fewer transactions are faster.
BACKLOG_BATCHES: Final = 10


class BatchSizer:
    """Choose batch sizes: small at a close for latency, large on a backlog for throughput."""

    def __init__(self, largest: int) -> None:
        """Begin with a small batch.

        Args:
            largest: the most records of any batch.
        """
        self._largest = largest
        self._full_batches = 0  # in a row
        self.max_records = min(FIRST_RECORDS, largest)

    def update(self, records: int) -> None:
        """Choose the next size after a poll that returned so many records."""
        if records < self.max_records:
            self._full_batches = 0
            self.max_records = min(FIRST_RECORDS, self._largest)
            return
        self._full_batches += 1
        is_backlog = self._full_batches >= BACKLOG_BATCHES
        limit = self._largest if is_backlog else min(CLOSE_RECORDS, self._largest)
        self.max_records = min(GROWTH * self.max_records, limit)
