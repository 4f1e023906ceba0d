from collections.abc import Iterable

import pytest

from services.producer.ports import DayTicker, ListedSymbol
from services.producer.symbols.followed_set import FollowedSet
from services.producer.symbols.selection import SymbolSelection
from shared.core.control import ControlState, SymbolAction, SymbolControl

TRADED, HALTED = ListedSymbol(True, "USDT", "TRADING"), ListedSymbol(False, "USDT", "BREAK")
MANY = dict.fromkeys([f"S{number}USDT" for number in range(40)], TRADED)
AFTER_S = 600.0
NAMED = SymbolSelection(names=("BTCUSDT", "ETHUSDT"))
ALL = SymbolSelection(wants_all=True)
LISTED = {**MANY, "BTCUSDT": TRADED, "ETHUSDT": TRADED}


def a_set(selection: SymbolSelection, members: Iterable[str] = ()) -> FollowedSet:
    control = ControlState()
    control.add(SymbolControl(symbol, "joined", 0) for symbol in members)
    return FollowedSet(selection, AFTER_S, control)


def settle(followed: FollowedSet) -> set[tuple[str, str]]:
    """Do what is pending; return the symbols that join, and the statuses other than traded."""
    changes = followed.pending_changes()
    followed.apply(changes)
    observed = {(each.symbol, each.status) for each in changes.observed}
    return {(symbol, "joins") for symbol in changes.joining} | {
        each for each in observed if each[1] != "resumed"
    }


def wish(followed: FollowedSet, symbol: str, action: SymbolAction) -> None:
    followed.control.add([SymbolControl(symbol, action, 0)])


def without(*names: str) -> dict[str, ListedSymbol]:
    return {name: each for name, each in LISTED.items() if name not in names}


def test_named_symbols_are_followed_before_the_exchange_has_listed_them() -> None:
    followed = a_set(NAMED)

    assert settle(followed) == {("BTCUSDT", "joins"), ("ETHUSDT", "joins")}


@pytest.mark.parametrize("short", [{}, {"S1USDT": TRADED}, without("BTCUSDT", "ETHUSDT")])
def test_one_short_list_changes_nothing(short: dict[str, ListedSymbol]) -> None:
    for selection in (NAMED, ALL):
        followed = a_set(selection)
        followed.on_listing(LISTED, 0.0)
        settle(followed)

        followed.on_listing(short, 60.0)
        assert settle(followed) == set()
        followed.on_listing(LISTED, 120.0)
        assert settle(followed) == set()


def test_short_lists_delist_nobody_however_many_there_are() -> None:
    followed = a_set(ALL)
    followed.on_listing(LISTED, 0.0)
    settle(followed)

    for number in range(1, 30):
        followed.on_listing({"BTCUSDT": TRADED}, number * 60.0)
        assert settle(followed) == set()


def test_a_symbol_is_delisted_after_it_was_missing_for_long_and_joins_again_when_listed() -> None:
    followed = a_set(NAMED)
    followed.on_listing(LISTED, 0.0)
    settle(followed)
    for number in range(1, 11):
        followed.on_listing(without("ETHUSDT"), number * 60.0)
        assert settle(followed) == set()

    followed.on_listing(without("ETHUSDT"), 11 * 60.0)

    assert settle(followed) == {("ETHUSDT", "delisted")}
    followed.on_ended("ETHUSDT")
    assert settle(followed) == set()
    followed.on_listing(LISTED, 3_600.0)
    assert settle(followed) == {("ETHUSDT", "joins")}


def test_a_delisting_is_taken_back_when_the_symbol_is_listed_before_its_end() -> None:
    followed = a_set(NAMED)
    followed.on_listing(LISTED, 0.0)
    settle(followed)
    for number in range(1, 12):
        followed.on_listing(without("ETHUSDT"), number * 60.0)
    settle(followed)

    followed.on_listing(LISTED, 720.0)

    assert [each.status for each in followed.pending_changes().observed] == ["resumed"]


def test_all_takes_what_is_traded_and_a_new_listing_as_soon_as_it_trades() -> None:
    followed = a_set(ALL)
    followed.on_listing({**MANY, "NEWUSDT": HALTED}, 0.0)
    assert ("NEWUSDT", "joins") not in settle(followed)

    followed.on_listing({**MANY, "NEWUSDT": TRADED}, 60.0)

    assert settle(followed) == {("NEWUSDT", "joins")}


def test_a_halt_is_reported_once_and_so_is_its_end() -> None:
    followed = a_set(ALL)
    followed.on_listing(LISTED, 0.0)
    settle(followed)

    for _ in range(3):
        followed.on_listing({**LISTED, "BTCUSDT": HALTED}, 60.0)
    assert settle(followed) == {("BTCUSDT", "halted")}
    assert settle(followed) == set()
    followed.on_listing(LISTED, 120.0)

    (resumed,) = followed.pending_changes().observed
    assert (resumed.symbol, resumed.status) == ("BTCUSDT", "resumed")


def test_one_that_was_followed_and_is_halted_at_a_restart_is_kept() -> None:
    followed = a_set(ALL, members=["LUNAUSDT", "GONEUSDT"])
    followed.on_listing({**MANY, "LUNAUSDT": HALTED}, 0.0)

    changes = settle(followed)

    assert {("LUNAUSDT", "joins"), ("LUNAUSDT", "halted"), ("GONEUSDT", "joins")} <= changes


def test_the_user_adds_and_removes() -> None:
    followed = a_set(NAMED)
    followed.on_listing(LISTED, 0.0)
    settle(followed)

    wish(followed, "S1USDT", "follow")
    wish(followed, "BTCUSDT", "unfollow")
    assert settle(followed) == {("S1USDT", "joins"), ("BTCUSDT", "removed")}
    followed.on_ended("BTCUSDT")
    assert settle(followed) == set()
    wish(followed, "BTCUSDT", "follow")
    assert settle(followed) == {("BTCUSDT", "joins")}


def test_what_was_removed_while_no_producer_ran_is_ended_and_followed_no_more() -> None:
    followed = a_set(NAMED, members=["BTCUSDT", "ETHUSDT"])
    wish(followed, "BTCUSDT", "unfollow")
    followed.on_listing(LISTED, 0.0)

    assert ("BTCUSDT", "removed") in settle(followed)
    followed.on_ended("BTCUSDT")

    assert settle(followed) == set()
    assert set(followed.followed) == {"ETHUSDT"}


def test_members_that_the_setting_no_longer_names_are_not_followed_and_not_ended() -> None:
    followed = a_set(NAMED, members=["BTCUSDT", "S1USDT"])
    followed.on_listing(LISTED, 0.0)

    assert not {symbol for symbol, _ in settle(followed)} & {"S1USDT"}
    assert followed.find_unwanted_members() == ["S1USDT"]


def test_one_that_leaves_the_most_traded_is_removed_with_the_reason() -> None:
    selection = SymbolSelection(most_traded=2, quote_asset="USDT")
    followed = a_set(selection)
    followed.on_listing(LISTED, 0.0)
    assert settle(followed) == set()
    followed.on_tickers(DayTicker(f"S{number}USDT", 9.0 - number, 2, 1) for number in range(4))
    assert settle(followed) == {("S0USDT", "joins"), ("S1USDT", "joins")}

    followed.on_tickers(DayTicker(f"S{number}USDT", number, 2, 1) for number in range(9))

    changes = followed.pending_changes()
    assert set(changes.joining) == {"S7USDT", "S8USDT"}
    removed = {each.symbol: each for each in changes.observed if each.status == "removed"}
    assert set(removed) == {"S0USDT", "S1USDT"}
    assert removed["S0USDT"].reason == "no longer among the 2 most traded in USDT"
