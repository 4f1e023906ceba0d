"""The part of a partition's topics that is audited."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartitionSpan:
    """Offsets to read, and how far the predictors have come."""

    partition: int
    klines: range
    predictions: range
    # The predictors' consumer group is done with the klines before this offset; None: it has
    # committed none, or Kafka has forgotten it, and only predictions tell how far it came.
    committed: int | None = None
    # Offset of the promotion that the audit begins at; None: at the first record.
    promotion_offset: int | None = None

    @property
    def checked_from(self) -> int:
        """The offset of the first record that is checked; those before it only fill windows."""
        return self.promotion_offset or 0

    def is_processed(self, offset: int) -> bool:
        """Return whether a predictor has committed that it is done with a record."""
        return self.committed is not None and offset < self.committed
