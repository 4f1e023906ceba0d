"""What a producer's headers tell of a candle's arrival."""

from collections.abc import Mapping
from typing import Final

_LONGEST_TIME: Final = 15  # digits of a time in ms; a foreign header may have any number


def is_streamed(headers: Mapping[str, bytes]) -> bool:
    """Say whether a candle came by the exchange's stream, so when it closed."""
    return headers.get("source") == b"stream"


def arrival_ms(headers: Mapping[str, bytes]) -> int | None:
    """Return the wall time at which the producer had a candle; None: the header is no time."""
    text = headers.get("arrival_ms", b"")
    return int(text) if text.isdigit() and len(text) <= _LONGEST_TIME else None
