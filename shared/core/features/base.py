"""The interface of a feature set: a fold over a symbol's candles whose rows are the network's window."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from shared.core.arrays import Float64s, read_only64

Carry: TypeAlias = tuple[float, ...]
"""What a feature set remembers between candles."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """A feature set after a symbol's newest candle."""

    carry: Carry
    rows: Float64s  # (n, columns), of the newest candles, at most a window of them


class FeatureSet(Protocol):
    """A fold of candles. It computes with + - * / and the square root only: their bits are the same everywhere."""

    columns: int
    is_ranged: bool  # rows go through the symbol's scaler; else they are what the network takes
    close: int | None  # the column that is the candle's close, if one is
    start: Carry

    @property
    def mirror(self) -> Float64s | None:
        """What each column (columns,) of a mirrored market is multiplied with; None if there is no such thing."""

    def after(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle (columns,): what is remembered then, and the candle's row of features (columns,)."""

    def over(self, sequence: Float64s, step_ms: int) -> tuple[Carry, Float64s, Float64s]:
        """Fold a sequence (n, columns) from the start, oldest candle first.

        Returns:
            What is remembered then, a row of features for each candle (n, columns), and after each candle the unit
            (n,) that the next change is measured in.
        """

    def unit(self, carry: Carry) -> float:
        """Return what the next change is measured in, a fraction."""


def compute_features(
    chosen: FeatureSet, sequence: Float64s, step_ms: int, window_length: int
) -> Features:
    """Return the features after a sequence's newest candle, folded from its oldest."""
    carry, rows, _ = chosen.over(sequence, step_ms)
    return Features(carry, read_only64(rows[-window_length:].copy()))


def append_features(
    chosen: FeatureSet, features: Features, candle: Float64s, step_ms: int, window_length: int
) -> Features:
    """Return the features after one candle (columns,) more."""
    carry, row = chosen.after(features.carry, candle, step_ms)
    return Features(
        carry, read_only64(np.concatenate([features.rows[1 - window_length :], row[None]]))
    )
