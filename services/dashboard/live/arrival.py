"""How a record of the topics came to the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LONGEST_TIME: Final = 16  # digits of a time in ms


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
        return self.headers.get("source") == b"stream"

    @property
    def arrived_ms(self) -> float | None:
        """The wall time at which the producer had it; else at which we had it."""
        text = self.headers.get("arrival_ms", b"")
        return float(text) if text.isdigit() and len(text) < _LONGEST_TIME else self.read_ms
