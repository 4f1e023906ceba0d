"""The interface of a feature set: a fold over a symbol's candles that gives the network's rows."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from shared.core.arrays import Float64s, read_only64

Carry: TypeAlias = tuple[float, ...]
"""The state of a feature set between candles. A set may name its fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """The features of a symbol after its newest candle."""

    carry: Carry
    rows: Float64s  # (n, columns), of the newest candles, at most a window of them


class FoldedFeatures(NamedTuple):
    """A whole sequence of n candles, folded."""

    carry: Carry  # after the newest candle
    rows: Float64s  # (n, columns), each candle's features
    units: Float64s  # (n,), after each candle the unit that the next change is measured in
    explained: Float64s  # (n,), how much of each candle's own change the market explains


class FeatureSet(Protocol):
    """A fold of candles into rows of features.

    It computes with + - * / and the square root only: IEEE 754 rounds these alike on every
    processor, so the bits are the same everywhere.
    """

    columns: int
    needs_scaler: bool  # rows go through the symbol's scaler; otherwise the network takes them
    needs_market: bool  # rows depend on the columns of the market
    initial_carry: Carry

    @property
    def mirror(self) -> Float64s | None:
        """Factor of each column (columns,) in a market turned upside down; None: it has none."""

    def update(self, carry: Carry, candle: Float64s, step_ms: int) -> tuple[Carry, Float64s]:
        """Fold one candle.

        Args:
            carry: what is remembered of the candles before.
            candle: a row of a sequence (24,).
            step_ms: the interval, which tells a gap.

        Returns:
            The carry after the candle, and the candle's row of features (columns,).
        """

    def compute(self, sequence: Float64s, step_ms: int) -> FoldedFeatures:
        """Fold a whole sequence (n, 24), oldest candle first: the same bits as `update` gives."""

    def carry_after(self, sequence: Float64s, step_ms: int) -> Carry:
        """Return the carry after a whole sequence (n, 24): `compute` without its rows."""

    def change_unit(self, carry: Carry) -> float:
        """Return the unit that the next change is measured in, a fraction."""

    def explained_change(self, carry: Carry, market_change: float) -> float:
        """Return how much of the next change the market's move in the same candle explains.

        Nobody can forecast the market's part, and the log names it together with the outcome: what
        learns from the rest of the change alone learns faster. Both are fractions; an unknown move
        (NaN) explains nothing.
        """


def compute_features(
    feature_set: FeatureSet, sequence: Float64s, step_ms: int, window_length: int
) -> Features:
    """Return the features after a sequence's newest candle, folded from its oldest."""
    # A promotion does this for every symbol: of most candles the row is not needed.
    first = max(len(sequence) - window_length, 0)
    carry = feature_set.carry_after(sequence[:first], step_ms)
    rows = np.empty((len(sequence) - first, feature_set.columns))
    for index, candle in enumerate(sequence[first:]):
        carry, rows[index] = feature_set.update(carry, candle, step_ms)
    return Features(carry, read_only64(rows))


def append_features(
    feature_set: FeatureSet, features: Features, candle: Float64s, step_ms: int, window_length: int
) -> Features:
    """Return the features after one more candle (6,)."""
    carry, row = feature_set.update(features.carry, candle, step_ms)
    kept = features.rows[1 - window_length :]
    rows = np.empty((len(kept) + 1, feature_set.columns))
    rows[:-1], rows[-1] = kept, row
    return Features(carry, read_only64(rows))
