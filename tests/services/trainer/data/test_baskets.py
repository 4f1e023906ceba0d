"""Baskets are made of symbols that move together, from the candles before a time alone."""

import numpy as np
import pytest

from services.trainer.data.baskets import MIN_MEMBERS, make_baskets
from services.trainer.data.market import is_usable
from shared.core.arrays import Float64s
from shared.core.market import define_baskets
from shared.core.sequence import MAX_BASKETS
from tests.support.builders import START_MS, STEP_MS

UNTIL_MS = START_MS + 600 * STEP_MS
DAY_MS = 86_400_000


def sequences(groups: int = 3, members: int = 5, count: int = 900) -> dict[str, Float64s]:
    """Return candles of groups of symbols, each moved by the market, its group and itself."""
    random = np.random.default_rng(3)
    market = random.normal(scale=0.002, size=count)
    found = {}
    for group in range(groups):
        common = random.normal(scale=0.002, size=count)
        for member in range(members):
            changes = market + common + random.normal(scale=0.001, size=count)
            candles = np.ones((count, 9))
            candles[:, 0] = START_MS + STEP_MS * np.arange(count)
            candles[:, 4] = 100.0 * np.cumprod(1.0 + changes)
            found[f"G{group}M{member}USDT"] = candles
    return found


def groups_of(candles: dict[str, Float64s]) -> set[frozenset[str]]:
    definition = make_baskets(candles, UNTIL_MS, STEP_MS)
    assert definition is not None
    return {frozenset(basket) for basket in definition.baskets}


def test_symbols_that_move_together_share_a_basket() -> None:
    by_group: dict[str, set[str]] = {}
    candles = sequences()
    for symbol in candles:
        by_group.setdefault(symbol[:2], set()).add(symbol)

    assert groups_of(candles) == set(map(frozenset, by_group.values()))


def test_the_same_candles_give_the_same_baskets() -> None:
    candles = sequences()
    backwards = dict(reversed(candles.items()))

    assert make_baskets(candles, UNTIL_MS, STEP_MS) == make_baskets(backwards, UNTIL_MS, STEP_MS)


def test_no_candle_after_the_training_span_is_looked_at() -> None:
    candles = sequences()
    before = make_baskets(candles, UNTIL_MS, STEP_MS)
    for rows in candles.values():
        rows[600:, 4] = np.random.default_rng(5).uniform(1.0, 2.0, 300)

    assert make_baskets(candles, UNTIL_MS, STEP_MS) == before
    assert before is not None
    assert (before.made_from_ms, before.made_through_ms) == (START_MS, UNTIL_MS - STEP_MS)


def test_a_symbol_with_too_few_candles_is_left_out() -> None:
    candles = sequences()
    candles["G0M0USDT"] = candles["G0M0USDT"][400:]

    assert not any("G0M0USDT" in basket for basket in groups_of(candles))


def test_a_symbol_whose_price_never_changes_is_left_out() -> None:
    candles = sequences()
    candles["DEADUSDT"] = candles["G0M0USDT"].copy()
    candles["DEADUSDT"][:, 4] = 1.0

    definition = make_baskets(candles, UNTIL_MS, STEP_MS)

    assert definition is not None


@pytest.mark.parametrize(("groups", "members"), [(1, 8), (4, 3), (30, 6)])
def test_there_are_few_baskets_and_none_is_small(groups: int, members: int) -> None:
    found = groups_of(sequences(groups, members))

    assert 1 <= len(found) <= MAX_BASKETS
    assert all(len(basket) >= MIN_MEMBERS for basket in found)
    assert len(frozenset[str]().union(*found)) == sum(map(len, found))


def test_one_absurd_candle_moves_no_symbol_to_another_basket() -> None:
    candles = sequences()
    expected = groups_of(candles)
    candles["G1M2USDT"][300, 4] *= 1_000.0

    assert groups_of(candles) == expected


@pytest.mark.parametrize("members", [0, 1, 7])
def test_too_few_symbols_give_no_baskets(members: int) -> None:
    assert make_baskets(sequences(1, members), UNTIL_MS, STEP_MS) is None


@pytest.mark.parametrize(
    ("age_days", "usable"), [(-1.0, False), (0.0, True), (30.0, True), (30.1, False)]
)
def test_baskets_are_taken_while_they_are_young_and_do_not_look_ahead(
    age_days: float, usable: bool
) -> None:
    baskets = define_baskets([["AAAUSDT"]], 0, round(UNTIL_MS - age_days * DAY_MS))

    assert is_usable(baskets, UNTIL_MS, 30.0) is usable
    assert not is_usable(None, UNTIL_MS, 30.0)
