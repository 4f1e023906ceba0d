"""How a record of the topics came to the page."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.log.arrival_headers import arrival_ms, is_streamed


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a record came to us."""

    partition: int
    offset: int
    headers: Mapping[str, bytes]
    read_ms: float | None = None  # wall time at which it could be read; None: it was there before
    is_older: bool = False  # it comes before all that were added

    @property
    def is_streamed(self) -> bool:
        """Whether it came by the exchange's stream, so when it closed."""
        return is_streamed(self.headers)

    @property
    def arrived_ms(self) -> float | None:
        """The wall time at which the producer had it; else at which we had it."""
        time_ms = arrival_ms(self.headers)
        return self.read_ms if time_ms is None else float(time_ms)
