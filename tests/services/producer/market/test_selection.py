"""The symbols that are followed for their prices alone."""

import pytest

from services.producer.market.selection import Listing, PriceSymbols, parse_price_symbols
from services.producer.ports import DayTicker, ListedSymbol

USDT, BTC, HALTED = (
    ListedSymbol(True, "USDT"),
    ListedSymbol(True, "BTC"),
    ListedSymbol(False, "USDT"),
)
LISTED = {
    "BTCUSDT": USDT,
    "ETHUSDT": USDT,
    "SOLUSDT": USDT,
    "ETHBTC": BTC,
    "USDCUSDT": USDT,
    "OLDUSDT": HALTED,
}
TICKERS = [
    DayTicker("ETHBTC", 900.0, 1.1, 1.0),
    DayTicker("OLDUSDT", 800.0, 1.1, 1.0),
    DayTicker("USDCUSDT", 700.0, 1.0004, 0.9999),
    DayTicker("SOLUSDT", 500.0, 1.1, 1.0),
    DayTicker("BTCUSDT", 600.0, 1.1, 1.0),
    DayTicker("GONEUSDT", 400.0, 1.1, 1.0),
    DayTicker("ETHUSDT", 300.0, 0.0, 0.0),
]


def a_listing(*followed: str) -> Listing:
    return Listing(followed, LISTED)


def test_the_most_traded_are_those_of_the_main_quote_asset_that_trade_and_move() -> None:
    listing = a_listing("ETHUSDT", "SOLUSDT", "ETHBTC")

    assert PriceSymbols(most_traded=2).choose(listing, TICKERS) == ("BTCUSDT", "SOLUSDT")
    assert PriceSymbols(most_traded=9).choose(listing, TICKERS) == ("BTCUSDT", "SOLUSDT")


def test_named_symbols_need_no_ticker() -> None:
    assert PriceSymbols(names=("SOLUSDT",)).choose(a_listing("ETHUSDT"), ()) == ("SOLUSDT",)


def test_what_is_followed_or_not_traded_is_left_out_and_members_of_baskets_come_last() -> None:
    listing = a_listing("ETHUSDT")
    chosen, members = ("SOLUSDT", "ETHUSDT", "OLDUSDT"), ("USDCUSDT", "BTCUSDT", "GONEUSDT")

    assert listing.price_only(chosen, members) == ("SOLUSDT", "BTCUSDT", "USDCUSDT")


def test_without_another_symbol_no_ticker_is_needed() -> None:
    assert a_listing("ETHUSDT").has_others
    assert not Listing(("ETHUSDT",), {}).has_others
    assert not a_listing(*LISTED).has_others


@pytest.mark.parametrize("text", ["", "top:", "top:-1", "top:12345", "btc usdt", "BTCUSDT,,", "*"])
def test_a_value_that_is_none_of_the_forms_is_refused(text: str) -> None:
    assert parse_price_symbols(text) is None


def test_none_follows_nothing_more() -> None:
    assert parse_price_symbols(" None ") == PriceSymbols()
