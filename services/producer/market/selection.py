"""Choose the symbols that are followed for their prices alone. PURE.

The market's move is a median over many symbols, so a deployment that follows few of them listens to
the prices of others too. These have no candles in the log.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.producer.ports import DayTicker, ListedSymbol
from shared.core.symbols import is_symbol, normalise_symbol

NONE: Final = "none"
# A symbol that is pegged to its quote asset hardly moves in a day, and says nothing of the market.
PEGGED_RANGE: Final = 1.002


@dataclass(frozen=True, slots=True)
class Listing:
    """The symbols that there are.

    Attributes:
        followed: the symbols whose candles are written.
        listed: every symbol of the exchange; empty before it has answered.
    """

    followed: Sequence[str]
    listed: Mapping[str, ListedSymbol]

    @property
    def has_others(self) -> bool:
        """Whether there is a symbol that could be followed for its price."""
        known = frozenset(self.followed)
        others = (name for name in self.listed if name not in known and self.is_traded(name))
        return next(others, None) is not None

    @property
    def main_quote_asset(self) -> str:
        """The quote asset of most symbols followed; empty if none of them is listed."""
        known = (self.listed[name] for name in self.followed if name in self.listed)
        counts = Counter(each.quote_asset for each in known).most_common(1)
        return counts[0][0] if counts else ""

    def is_traded(self, symbol: str) -> bool:
        """Return whether a symbol is being traded."""
        return symbol in self.listed and self.listed[symbol].is_traded

    def price_only(self, chosen: Iterable[str], members: Iterable[str]) -> tuple[str, ...]:
        """Return the symbols to follow for their prices alone.

        Args:
            chosen: the symbols of the setting.
            members: the symbols of the baskets in force.
        """
        known = frozenset(self.followed)
        wanted = dict.fromkeys((*chosen, *sorted(members)))
        traded = [name for name in wanted if name not in known and self.is_traded(name)]
        return tuple(traded)


@dataclass(frozen=True, slots=True)
class PriceSymbols:
    """The setting MARKET_SYMBOLS: the number of the most traded symbols, or names."""

    most_traded: int = 0
    names: tuple[str, ...] = ()

    def choose(self, listing: Listing, tickers: Iterable[DayTicker]) -> tuple[str, ...]:
        """Return the symbols of the setting, the most traded first.

        Args:
            listing: the symbols that there are.
            tickers: the last 24 hours of each symbol; needed for `most_traded`.
        """
        if self.names:
            return self.names
        quote = listing.main_quote_asset
        candidates = [
            each
            for each in tickers
            if listing.is_traded(each.symbol)
            and listing.listed[each.symbol].quote_asset == quote
            and each.high > PEGGED_RANGE * each.low > 0
        ]
        candidates.sort(key=lambda each: (-each.quote_volume, each.symbol))
        return tuple(each.symbol for each in candidates[: self.most_traded])


def parse_price_symbols(text: str) -> PriceSymbols | None:
    """Return the value of MARKET_SYMBOLS; None if it is not one.

    >>> parse_price_symbols("top:40")
    PriceSymbols(most_traded=40, names=())
    >>> parse_price_symbols("BTCUSDT, ethusdt").names
    ('BTCUSDT', 'ETHUSDT')
    """
    text = text.strip()
    if text.lower() == NONE:
        return PriceSymbols()
    if top := re.fullmatch(r"top:([0-9]{1,4})", text.lower()):
        return PriceSymbols(int(top[1]))
    names = tuple(dict.fromkeys(normalise_symbol(part) for part in text.split(",")))
    is_list = all(map(is_symbol, names))
    return PriceSymbols(names=names) if is_list else None
