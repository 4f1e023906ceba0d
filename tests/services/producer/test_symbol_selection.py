import pytest

from services.producer.ports import ListedSymbol
from services.producer.symbol_selection import select_symbols
from shared.core.errors import BadSetting

TRADED, HALTED = ListedSymbol(True, "USDT"), ListedSymbol(False, "USDT")
LISTED = {
    "BTCUSDT": TRADED,
    "ETHUSDT": TRADED,
    "LUNAUSDT": HALTED,
    "币安人生USDT": TRADED,
    "A/B": TRADED,
}
MAX_SYMBOLS = 1024


def nothing(_: object) -> list[str]:
    return []


def test_all_means_what_is_traded_under_a_name_that_the_log_accepts() -> None:
    selected = select_symbols(None, LISTED, nothing, MAX_SYMBOLS)

    assert selected == ["BTCUSDT", "ETHUSDT", "币安人生USDT"]


def test_a_symbol_that_neither_exchange_nor_log_has_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="BTCUSTD"):
        select_symbols(["BTCUSDT", "BTCUSTD"], LISTED, nothing, MAX_SYMBOLS)


def test_a_delisted_symbol_stops_no_other() -> None:
    assert select_symbols(["BTCUSDT", "OLDUSDT"], LISTED, list, MAX_SYMBOLS) == ["BTCUSDT"]


def test_more_symbols_than_a_connection_can_follow_are_refused() -> None:
    many = {f"S{n}USDT": TRADED for n in range(MAX_SYMBOLS + 1)}

    with pytest.raises(BadSetting, match="1025"):
        select_symbols(None, many, nothing, MAX_SYMBOLS)
    assert len(select_symbols(list(many)[:1024], many, nothing, MAX_SYMBOLS)) == 1024
