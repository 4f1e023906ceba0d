"""Which symbols the setting SYMBOLS wants: names, all that are traded, or the most traded. PURE."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.producer.ports import DayTicker, ListedSymbol
from shared.core.symbols import is_symbol, parse_symbols

ALL: Final = "all"
# One of the most traded stays until this many more are ahead of it: ranks change all the time.
HYSTERESIS: Final = 1.25
# A list of tickers that lacks more of the symbols in question changes nothing.
ENOUGH_TICKERS: Final = 0.9


@dataclass(frozen=True, slots=True)
class SymbolSelection:
    """The value of SYMBOLS: names, all, or the number of the most traded in a quote asset."""

    names: tuple[str, ...] = ()
    wants_all: bool = False
    most_traded: int = 0
    quote_asset: str = ""

    @property
    def reason(self) -> str:
        """Why a symbol of the setting is followed, in words."""
        if self.most_traded:
            return f"among the {self.most_traded} most traded in {self.quote_asset}"
        return "the exchange trades it" if self.wants_all else "named in SYMBOLS"


def parse_symbol_selection(text: str) -> SymbolSelection | None:
    """Return the value of SYMBOLS; None if it selects nothing.

    >>> parse_symbol_selection("top:200:usdt")
    SymbolSelection(names=(), wants_all=False, most_traded=200, quote_asset='USDT')
    >>> parse_symbol_selection("btcusdt, ETHUSDT").names
    ('BTCUSDT', 'ETHUSDT')

    Raises:
        BadSetting: a name is no symbol or comes twice.
    """
    text = text.strip()
    if text.lower() == ALL:
        return SymbolSelection(wants_all=True)
    if top := re.fullmatch(r"top:([1-9][0-9]{0,4}):(\w{1,20})", text, re.IGNORECASE):
        number, quote_asset = int(top[1]), top[2].upper()
        return SymbolSelection(most_traded=number, quote_asset=quote_asset)
    names = parse_symbols(text)
    return SymbolSelection(names=names) if names else None


def find_traded(listed: Mapping[str, ListedSymbol]) -> list[str]:
    """Return the symbols that are traded and that the log accepts, sorted."""
    return sorted(name for name, each in listed.items() if each.is_traded and is_symbol(name))


def rank_most_traded(
    selection: SymbolSelection,
    listed: Mapping[str, ListedSymbol],
    tickers: Iterable[DayTicker],
    followed: Sequence[str],
) -> tuple[str, ...]:
    """Return the most traded symbols of a selection; those followed stay a little longer.

    Args:
        selection: how many, in which quote asset.
        listed: the symbols that the exchange lists.
        tickers: the last 24 hours of each symbol.
        followed: the most traded symbols until now. One without a ticker stays: what is missing
            proves nothing.
    """
    volumes = {each.symbol: each.quote_volume for each in tickers if is_symbol(each.symbol)}
    kept_names = frozenset(followed)
    # One that is halted now keeps its rank while its turnover of 24 hours does.
    candidates = kept_names.union(find_traded(listed)) & volumes.keys() & listed.keys()
    quoted = [name for name in candidates if listed[name].quote_asset == selection.quote_asset]
    if sum(name in volumes for name in kept_names) < ENOUGH_TICKERS * len(kept_names):
        return tuple(followed)
    ranked = sorted(quoted, key=lambda name: (-volumes[name], name))
    near = ranked[: int(selection.most_traded * HYSTERESIS)]
    kept = [name for name in followed if name not in volumes]
    kept += [name for name in near if name in kept_names]
    new = [name for name in ranked if name not in kept_names]
    return tuple([*kept, *new][: selection.most_traded])
