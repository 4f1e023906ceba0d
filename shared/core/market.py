"""The market's move in an interval: medians, over symbols, of changes from the close before.

Changes are rounded to whole parts per billion (ppb) before a median is taken, and so is the median:
every reader of the log then has the same number, and one symbol at a time or a whole matrix of
closes gives the same result.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isnan
from typing import Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.records import MarketMove

PPB: Final = 1_000_000_000
# A change is above -1, and a thousandfold price is as far as one change goes.
MIN_CHANGE_PPB: Final = 1 - PPB
MAX_CHANGE_PPB: Final = 1_000 * PPB

# A median of ten symbols is already most of what a median of all of them says.
_ENOUGH: Final = 10
_FEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class BasketDefinition:
    """Baskets of symbols that move together. Make one with `define_baskets`."""

    version: str  # 8 hex digits
    baskets: tuple[tuple[str, ...], ...]
    made_from_ms: int  # first open time of the candles that they were made from
    made_through_ms: int  # last open time of these

    @property
    def members(self) -> frozenset[str]:
        """The symbols of all baskets."""
        return frozenset(symbol for basket in self.baskets for symbol in basket)


def define_baskets(
    baskets: Iterable[Iterable[str]], made_from_ms: int, made_through_ms: int
) -> BasketDefinition:
    """Return the definition of baskets; its version depends on their symbols and order alone.

    >>> define_baskets([["AAAUSDT", "BBBUSDT"]], 0, 0).version
    '67a076a8'
    """
    fixed = tuple(map(tuple, baskets))
    text = json.dumps(fixed, separators=(",", ":"))
    version = sha256(text.encode()).hexdigest()[:8]
    return BasketDefinition(version, fixed, made_from_ms, made_through_ms)


def quorum(members: int) -> int:
    """Return how many of so many symbols must be known for a median: half, from 3 up to 10.

    >>> [quorum(members) for members in (1, 4, 8, 40, 2_000)]
    [3, 3, 4, 10, 10]
    """
    return max(_FEWEST, min(_ENOUGH, (members + 1) // 2))


def change_ppb(close_before: float, price: float) -> int:
    """Return the change from the close before, in ppb, within what a record may hold.

    >>> change_ppb(100.0, 100.5)
    5000000
    """
    change = round((price / close_before - 1.0) * PPB)
    return max(MIN_CHANGE_PPB, min(MAX_CHANGE_PPB, change))


def median_ppb(changes: Collection[int]) -> int:
    """Return the median; of an even count, the mean of the two middle ones, to the even ppb.

    >>> median_ppb([3, 1, 2]), median_ppb([1, 2]), median_ppb([2, 3])
    (2, 2, 2)
    """
    ordered, count = sorted(changes), len(changes)
    return round((ordered[(count - 1) // 2] + ordered[count // 2]) / 2)


def to_ppb(change: float) -> int:
    """Return a change that is a fraction in ppb; `to_fraction` is its exact inverse."""
    return round(change * PPB)


def to_fraction(ppb: int) -> float:
    """Return a change in ppb as a fraction: one division, which is rounded alike everywhere."""
    return ppb / PPB


def market_move(
    closes_before: Mapping[str, float],
    prices: Mapping[str, float],
    symbols: Collection[str],
    baskets: BasketDefinition | None,
) -> MarketMove:
    """Measure the market's move in one interval.

    Args:
        closes_before: the close of the candle before, by symbol.
        prices: the newest price in the interval, by symbol; leave out what is too old.
        symbols: the market, which the median is of.
        baskets: the definition in force; None if there is none.
    """
    wanted = symbols if baskets is None else baskets.members.union(symbols)
    changes = {
        symbol: change_ppb(closes_before[symbol], prices[symbol])
        for symbol in wanted
        if symbol in closes_before and symbol in prices
    }
    return move_of_changes(changes, symbols, baskets)


def move_of_changes(
    changes_ppb: Mapping[str, int], symbols: Collection[str], baskets: BasketDefinition | None
) -> MarketMove:
    """Return the market's move of the known changes in ppb, by symbol.

    Args:
        changes_ppb: by symbol; a symbol that is unknown is not in it.
        symbols: the market, which the median is of.
        baskets: the definition in force; None if there is none.
    """
    known = [changes_ppb[symbol] for symbol in symbols if symbol in changes_ppb]
    change = to_fraction(median_ppb(known)) if len(known) >= quorum(len(symbols)) else None
    if baskets is None:
        return MarketMove(change, len(known))
    medians = tuple(_median_of(changes_ppb, basket) for basket in baskets.baskets)
    return MarketMove(change, len(known), baskets.version, medians)


def _median_of(changes_ppb: Mapping[str, int], members: Sequence[str]) -> float | None:
    known = [changes_ppb[symbol] for symbol in members if symbol in changes_ppb]
    return to_fraction(median_ppb(known)) if len(known) >= quorum(len(members)) else None


@dataclass(frozen=True, slots=True, eq=False)
class MarketMoves:
    """The market's moves in intervals that follow each other; NaN is unknown."""

    changes: Float64s  # (times,), fractions
    symbols: Float64s  # (times,), whose changes the median is of
    baskets: str | None  # version of the definition
    basket_changes: Float64s  # (times, baskets), fractions in the order of the definition

    def move(self, number: int) -> MarketMove | None:
        """Return the move of an interval; None if nothing of it is known."""
        change, *rest = (
            None if isnan(value) else value
            for value in (float(self.changes[number]), *self.basket_changes[number].tolist())
        )
        if change is None and not any(value is not None for value in rest):
            return None
        return MarketMove(change, int(self.symbols[number]), self.baskets, tuple(rest))


def market_moves(
    closes: Float64s,
    columns: Sequence[str],
    symbols: Collection[str],
    baskets: BasketDefinition | None,
) -> MarketMoves:
    """Measure the market's move in each interval but the first, as `market_move` would.

    Args:
        closes: (times, columns), NaN where a symbol has no candle. A row for every interval, also
            for those without any candle: a change is from the close one row before.
        columns: the symbol of each column.
        symbols: the market, which the median is of.
        baskets: the definition in force; None if there is none.

    Returns:
        The moves of the second row on: (times - 1) of them.
    """
    changes = changes_of_closes(closes)
    known, move = _medians(changes, columns, symbols)
    parts = [] if baskets is None else baskets.baskets
    medians = [_medians(changes, columns, basket)[1] for basket in parts]
    basket_changes = np.stack(medians, axis=1) if medians else np.empty((len(changes), 0))
    return MarketMoves(move, known, None if baskets is None else baskets.version, basket_changes)


def changes_of_closes(closes: Float64s) -> Float64s:
    """Return the change from each row of closes to the next in ppb: (times - 1, columns)."""
    changes = np.rint((closes[1:] / closes[:-1] - 1.0) * PPB)
    return np.asarray(np.clip(changes, MIN_CHANGE_PPB, MAX_CHANGE_PPB))


def _medians(
    changes: Float64s, columns: Sequence[str], members: Collection[str]
) -> tuple[Float64s, Float64s]:
    """Return how many members each row (n, columns) knows, and their median as a fraction."""
    wanted = frozenset(members)
    chosen = [number for number, symbol in enumerate(columns) if symbol in wanted]
    if not chosen:
        return np.zeros(len(changes)), np.full(len(changes), np.nan)
    ordered = np.sort(changes[:, chosen], axis=1)  # NaN last
    counts = np.count_nonzero(np.isfinite(ordered), axis=1)
    rows, last = np.arange(len(ordered)), np.maximum(counts - 1, 0)
    middle = ordered[rows, last // 2] + ordered[rows, (last + 1) // 2]
    medians = np.where(counts >= quorum(len(members)), np.rint(middle / 2.0) / PPB, np.nan)
    return counts.astype(np.float64), medians
