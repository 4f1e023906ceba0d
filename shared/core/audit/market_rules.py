"""The rules that the market's moves in the log keep towards its candles and towards each other.

No rule flags a move that was measured as it should be. What it was measured from is not all in the
log, so each rule allows for that: see `market_bounds`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.audit.market_bounds import Int64s, KnownChanges

# Records of one moment may differ by half of the prices' range in it: they are written seconds
# after each other, and a later one knows newer prices.
_RANGE_SHARE: Final = 0.5
_LEAST_TOLERANCE: Final = 1e-5
_SIMILAR_SHARE: Final = 0.75  # of the symbols that the moment's record of most symbols has
# Of the typical move: so far the typical difference from the closes may be. A move that belongs to
# another moment differs by about 1.4.
MOST_DISTANT: Final = 0.5
FEWEST_DISTANCES: Final = 1_000  # below that a typical difference is chance

OUT_OF_BOUNDS: Final = "lies outside the bounds that the candles in the log give it"
CONTRADICTION: Final = "contradicts other records of the same moment"


@dataclass(frozen=True, slots=True, eq=False)
class LoggedMedians:
    """Medians in the log, one per candle that has one."""

    rows: Int64s  # (n,), which candle it belongs to
    moments: Int64s  # (n,), counted from the first of a span
    values: Float64s  # (n,), fractions
    members: Int64s  # (n,), of how many symbols it is, or may be

    def known(self) -> "LoggedMedians":
        """Return those whose value is known."""
        at = np.flatnonzero(np.isfinite(self.values))
        return LoggedMedians(self.rows[at], self.moments[at], self.values[at], self.members[at])


@dataclass(frozen=True, slots=True)
class MedianFault:
    """A median that breaks a rule."""

    row: int  # which candle it belongs to
    rule: str
    found: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, eq=False)
class BoundsCheck:
    """Medians held against bounds."""

    is_compared: NDArray[np.bool_]  # (n,), False where too little is known for bounds
    faults: Sequence[MedianFault]
    differences: Float64s  # (compared,), sizes of the differences from the medians to the closes
    moves: Float64s  # (compared,), sizes of these medians


def check_bounds(medians: LoggedMedians, known: KnownChanges) -> BoundsCheck:
    """Check that medians lie between the bounds that the log's candles of the moment give."""
    lower, upper = known.bounds(medians.moments, medians.members)
    is_compared = np.isfinite(lower)
    is_wrong = is_compared & ((medians.values < lower) | (medians.values > upper))
    faults = list(_faults(medians, np.flatnonzero(is_wrong), OUT_OF_BOUNDS, lower, upper))
    closing = known.medians()[medians.moments[is_compared]]
    differences = np.abs(medians.values[is_compared] - closing)
    return BoundsCheck(is_compared, faults, differences, np.abs(closing))


def check_agreement(medians: LoggedMedians, known: KnownChanges) -> list[MedianFault]:
    """Check that the records of one moment agree, if they are of about as many symbols."""
    most = np.zeros(len(known.counts))
    np.maximum.at(most, medians.moments, medians.members)
    at = np.flatnonzero(medians.members >= _SIMILAR_SHARE * most[medians.moments])
    at = at[np.lexsort((medians.values[at], medians.moments[at]))]
    moments, starts, counts = np.unique(medians.moments[at], return_index=True, return_counts=True)
    middle = medians.values[at[starts + counts // 2]]
    tolerance = _LEAST_TOLERANCE + _RANGE_SHARE * known.ranges()[moments]
    lower, upper = np.full(len(most), np.nan), np.full(len(most), np.nan)
    lower[moments], upper[moments] = middle - tolerance, middle + tolerance
    lower, upper = lower[medians.moments], upper[medians.moments]
    is_wrong = (medians.values[at] < lower[at]) | (medians.values[at] > upper[at])
    return list(_faults(medians, np.sort(at[is_wrong]), CONTRADICTION, lower, upper))


def typical_distance(differences: Float64s, moves: Float64s) -> float | None:
    """Return the median difference from the closes' medians, as a share of the median move.

    None if too few medians were compared, or the market stood still.
    """
    if len(moves) < FEWEST_DISTANCES or not np.median(moves) > 0.0:
        return None
    return float(np.median(differences) / np.median(moves))


def _faults(
    medians: LoggedMedians, numbers: Int64s, rule: str, lower: Float64s, upper: Float64s
) -> Iterator[MedianFault]:
    for at in numbers.tolist():
        yield MedianFault(
            int(medians.rows[at]),
            rule,
            float(medians.values[at]),
            float(lower[at]),
            float(upper[at]),
        )
