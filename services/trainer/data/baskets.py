"""Makes baskets: symbols whose changes, less the market's, go together.

k-means on the symbols' correlations (Lloyd, 1982), from the candles before a time alone.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from shared.core.arrays import Float64s
from shared.core.market import (
    PPB,
    BasketDefinition,
    changes_of_closes,
    define_baskets,
    market_moves,
)
from shared.core.market_table import closes_on_grid
from shared.core.sequence import MAX_BASKETS, OPEN_TIME

MIN_MEMBERS: Final = 4  # so that a median has a quorum though one member is unknown
_MAX_MOMENTS: Final = 26_000  # newest ones: three months of 5m tell who goes together
_FEWEST_MOMENTS: Final = 100
_LEAST_SHARE: Final = 0.5  # of the moments, that a symbol must have
# Members, at most: those whose price stands still least. A thin coin follows late, so its price
# tells what the market did before.
_MOST_MEMBERS: Final = 80
_COMPONENTS: Final = 8  # of the correlations; those after them are mostly noise
_LARGEST: Final = 8.0  # median absolute changes: so far one candle counts


def make_baskets(
    candles: Mapping[str, Float64s], until_ms: int, step_ms: int
) -> BasketDefinition | None:
    """Make at most MAX_BASKETS baskets of at least MIN_MEMBERS symbols each.

    Args:
        candles: sequences by symbol, or their first columns up to the close (n, 5 or more).
        until_ms: candles that open then or later are not looked at.
        step_ms: the interval.

    Returns:
        The definition; None if too few symbols have candles in half of the time, or the time is
        short.
    """
    symbols = sorted(candles)
    first_ms = min((int(c[0, OPEN_TIME]) for c in candles.values() if len(c)), default=until_ms)
    from_ms = max(first_ms, until_ms - _MAX_MOMENTS * step_ms)
    closes = closes_on_grid(candles, symbols, from_ms, until_ms, step_ms)
    if len(symbols) < 2 * MIN_MEMBERS or len(closes) < _FEWEST_MOMENTS:
        return None
    own = _own_changes(closes, symbols)
    chosen = _liveliest(closes, own)
    if len(chosen) < 2 * MIN_MEMBERS:
        return None
    groups = _cluster(_correlated_parts(own[:, chosen]))
    names = [sorted(symbols[chosen[number]] for number in group) for group in groups]
    return define_baskets(sorted(names), from_ms, until_ms - step_ms)


def _own_changes(closes: Float64s, symbols: list[str]) -> Float64s:
    """Return changes less the market's (moments - 1, symbols), as fractions; NaN if unknown."""
    moves = market_moves(closes, symbols, symbols, None)
    return np.asarray(changes_of_closes(closes) / PPB - moves.changes[:, None])


def _liveliest(closes: Float64s, own: Float64s) -> NDArray[np.int64]:
    """Return the columns of the symbols that may be members, in their order."""
    is_known = np.isfinite(own)
    counts = is_known.sum(axis=0)
    stands_still = np.mean(closes[1:] == closes[:-1], axis=0)
    moves = np.where(is_known, np.abs(own), 0.0).sum(axis=0) > 0.0
    often = np.flatnonzero(moves & (counts >= max(1, _LEAST_SHARE * len(own))))
    order = np.argsort(stands_still[often], kind="stable")
    return np.sort(often[order[:_MOST_MEMBERS]])


def _correlated_parts(changes: Float64s) -> Float64s:
    """Return each symbol's loadings (symbols, components) on what symbols have in common."""
    sizes = np.maximum(np.nanmedian(np.abs(changes), axis=0), 1.0 / PPB)
    scaled = np.clip(np.nan_to_num(changes / sizes), -_LARGEST, _LARGEST)
    scaled -= scaled.mean(axis=0)
    scaled /= np.maximum(scaled.std(axis=0), 1e-9)
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))  # ascending
    loadings: Float64s = vectors[:, -_COMPONENTS:] * np.sqrt(np.maximum(values[-_COMPONENTS:], 0.0))
    return loadings


def _cluster(points: Float64s) -> list[list[int]]:
    """Return groups of points (n, components); those of a small one join the nearest others."""
    most = min(MAX_BASKETS, len(points) // MIN_MEMBERS)
    labels = KMeans(most, n_init=10, random_state=0).fit(points).labels_
    groups = [np.flatnonzero(labels == label).tolist() for label in range(most)]
    while len(smallest := min(groups, key=len)) < MIN_MEMBERS:
        groups.remove(smallest)
        centres = np.array([points[group].mean(axis=0) for group in groups])
        for point in smallest:
            distances = ((centres - points[point]) ** 2).sum(axis=1)
            groups[int(distances.argmin())].append(point)
    return groups
