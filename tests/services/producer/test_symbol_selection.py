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


def nothing(_: object) -> list[str]:
    return []


def test_all_means_what_is_traded_under_a_name_that_the_log_accepts() -> None:
    selected = select_symbols(None, LISTED, nothing)

    assert selected == ["BTCUSDT", "ETHUSDT", "币安人生USDT"]


def test_a_symbol_that_neither_exchange_nor_log_has_is_refused_by_name() -> None:
    with pytest.raises(BadSetting, match="BTCUSTD"):
        select_symbols(["BTCUSDT", "BTCUSTD"], LISTED, nothing)


def test_a_delisted_symbol_stops_no_other() -> None:
    assert select_symbols(["BTCUSDT", "OLDUSDT"], LISTED, list) == ["BTCUSDT"]


def test_any_number_of_symbols_is_followed_but_none() -> None:
    many = {f"S{n}USDT": TRADED for n in range(3000)}

    assert len(select_symbols(None, many, nothing)) == 3000
    with pytest.raises(BadSetting, match="no symbol"):
        select_symbols(None, {"LUNAUSDT": HALTED}, nothing)
