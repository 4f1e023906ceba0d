"""Feature sets: from a symbol's sequence to the rows a window is cut from."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import numpy as np

from shared.core.arrays import Float64s, frozen64
from shared.core.day import cosine, sine
from shared.core.errors import BadInput

# Columns of a sequence, float64 (n, 6), oldest candle first. A time in ms is exact in a float64.
OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME = range(6)
SEQUENCE_COLUMNS: Final = 6

_MINUTE_MS = 60_000


@lru_cache(maxsize=1)
def _day() -> Float64s:
    """Sine and cosine of every minute of the day: (1440, 2)."""
    return frozen64(np.array([(sine(m), cosine(m)) for m in range(1440)]))


def levels(sequence: Float64s) -> Float64s:
    """Return open, high, low, close and the sine and cosine of the UTC minute of day: (n, 6)."""
    rows = np.empty((len(sequence), 6))
    rows[:, :4] = sequence[:, OPEN : CLOSE + 1]
    minutes = (sequence[:, OPEN_TIME].astype(np.int64) // _MINUTE_MS) % 1440
    rows[:, 4:] = _day().take(minutes, axis=0)
    return rows


_FEATURE_SETS: dict[str, tuple[int, Callable[[Float64s], Float64s]]] = {"levels": (6, levels)}


def feature_rows(name: str, sequence: Float64s) -> Float64s:
    """Return the unscaled rows (n, features) of a feature set that a card names."""
    return _feature_set(name)[1](sequence)


def feature_count(name: str) -> int:
    """Return how many columns a feature set has."""
    return _feature_set(name)[0]


def _feature_set(name: str) -> tuple[int, Callable[[Float64s], Float64s]]:
    try:
        return _FEATURE_SETS[name]
    except KeyError:
        known = ", ".join(sorted(_FEATURE_SETS))
        message = f"feature set {name!r} is not known here; known: {known}. A newer version may know it"
        raise BadInput("unknown_features", message) from None
