"""Choose the symbols to follow."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from services.producer.ports import ListedSymbol
from shared.core.errors import BadSetting
from shared.core.symbols import SYMBOL_RULE, is_symbol

log = logging.getLogger(__name__)


def select_symbols(
    named: Sequence[str] | None,
    listed: Mapping[str, ListedSymbol],
    find_in_log: Callable[[Sequence[str]], Iterable[str]],
) -> list[str]:
    """Return the symbols to follow.

    Args:
        named: the symbols that SYMBOLS names; None means all that are traded.
        listed: the symbols that the exchange lists.
        find_in_log: returns those of some symbols that are in the log.

    Raises:
        BadSetting: neither the exchange nor the log has one of the symbols, or there are none.
    """
    symbols = _traded(listed) if named is None else list(named)
    if delisted := [symbol for symbol in symbols if symbol not in listed]:
        _check_delisted(delisted, set(find_in_log(delisted)))
    selected = [symbol for symbol in symbols if symbol in listed]
    if not selected:
        raise BadSetting("SYMBOLS selects no symbol; name at least one that the exchange lists")
    return selected


def _check_delisted(symbols: Sequence[str], in_log: set[str]) -> None:
    """Refuse misspelt symbols; one that is in the log has been delisted since and is left out."""
    if unknown := [symbol for symbol in symbols if symbol not in in_log]:
        names = ", ".join(unknown[:5])
        raise BadSetting(f"SYMBOLS names {names}, which the exchange does not list: correct it")
    log.warning("the exchange no longer lists %s", ", ".join(symbols))


def _traded(listed: Mapping[str, ListedSymbol]) -> list[str]:
    """Return the symbols that are traded and that the log accepts."""
    traded = sorted(symbol for symbol, each in listed.items() if each.is_traded)
    accepted = [symbol for symbol in traded if is_symbol(symbol)]
    if refused := sorted(set(traded) - set(accepted)):
        log.warning("not following %s: a symbol is %s", ", ".join(refused), SYMBOL_RULE)
    return accepted
