import pytest

from services.producer.ports import DayTicker, ListedSymbol
from services.producer.symbols.selection import (
    SymbolSelection,
    find_traded,
    parse_symbol_selection,
    rank_most_traded,
)

TRADED, HALTED = ListedSymbol(True, "USDT"), ListedSymbol(False, "USDT")
TOP_4 = SymbolSelection(most_traded=4, quote_asset="USDT")
SYMBOLS = [f"S{number}USDT" for number in range(10)]


def tickers(*names: str) -> list[DayTicker]:
    """Return tickers whose turnover falls in the order of the names."""
    return [DayTicker(name, 100.0 - at, 2.0, 1.0) for at, name in enumerate(names)]


def rank(*names: str, followed: tuple[str, ...] = ()) -> tuple[str, ...]:
    listed = dict.fromkeys([*SYMBOLS, "XBTC"], TRADED) | {"XBTC": ListedSymbol(True, "BTC")}
    return rank_most_traded(TOP_4, listed, tickers(*names), followed)


def test_all_means_what_is_traded_under_a_name_that_the_log_accepts() -> None:
    listed = {"ETHUSDT": TRADED, "LUNAUSDT": HALTED, "币安人生USDT": TRADED, "A/B": TRADED}

    assert find_traded(listed) == ["ETHUSDT", "币安人生USDT"]


@pytest.mark.parametrize("text", ["", ",", " "])
def test_nothing_selects_nothing(text: str) -> None:
    assert parse_symbol_selection(text) is None


def test_the_most_traded_of_a_quote_asset_are_chosen() -> None:
    assert rank("XBTC", *SYMBOLS) == ("S0USDT", "S1USDT", "S2USDT", "S3USDT")


def test_one_that_was_chosen_stays_until_it_is_clearly_overtaken() -> None:
    chosen = tuple(SYMBOLS[:4])
    fifth = ["S0USDT", "S1USDT", "S2USDT", "S9USDT", "S3USDT"]
    sixth = ["S0USDT", "S1USDT", "S2USDT", "S9USDT", "S8USDT", "S3USDT"]

    assert set(rank(*fifth, followed=chosen)) == set(chosen)
    assert set(rank(*sixth, followed=chosen)) == {*chosen[:3], "S9USDT"}


def test_tickers_that_lack_many_symbols_change_nothing() -> None:
    chosen = tuple(SYMBOLS[:4])

    assert rank("S7USDT", "S8USDT", "S0USDT", followed=chosen) == chosen
