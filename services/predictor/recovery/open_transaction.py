"""End the transaction that a predecessor left open on a partition's predictions."""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final

from services.predictor.ports import TopicHistory
from shared.adapters.kafka.producer import WRITER_HEADER

log = logging.getLogger(__name__)

# A commit is answered before its markers are written, which takes some milliseconds more: only a
# transaction that is still open after so many looks was left behind.
LOOKS: Final = 20


@dataclass(frozen=True, slots=True)
class OpenTransactions:
    """Ends transactions that dead or suspended predictors left open on the predictions."""

    predictions: TopicHistory
    writers: str  # what a predictor's transactional id begins with: no other writer is shut out
    abort_transaction_of: Callable[[str], None]  # takes a transactional id

    def end(self, partition: int) -> Generator[None]:
        """Abort the open transaction of a partition's predecessor.

        The broker would time it out, but only after 10 to 20 s. Whoever owns the partition now may
        end it at once: by the rules of the group no other member writes to it. A replica that is
        suspended is shut out with it, and begins anew when it wakes up.

        Yields:
            Between two looks, so that other partitions are not held up.

        Raises:
            Unavailable: Kafka does not answer.
        """
        for _ in range(LOOKS):
            if self.predictions.is_settled(partition):
                return
            yield
        record = self.predictions.first_open_record(partition)
        writer = (
            ((record and record.headers) or {}).get(WRITER_HEADER, b"").decode("ascii", "replace")
        )
        if writer.startswith(self.writers):
            log.warning("symbol group %d: aborting what %s left open", partition, writer)
            self.abort_transaction_of(writer)
