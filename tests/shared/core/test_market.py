"""The market's move: medians, quorums, and one result for a moment and for a matrix."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.market import (
    MAX_CHANGE_PPB,
    MIN_CHANGE_PPB,
    change_ppb,
    define_baskets,
    market_move,
    market_moves,
    median_ppb,
    quorum,
    to_fraction,
    to_ppb,
)
from shared.core.records import MarketMove

NAMES = [f"C{number}USDT" for number in range(12)]
BASKETS = define_baskets([NAMES[:4], NAMES[3:9], ["GONEUSDT", *NAMES[:2]]], 0, 0)
price = st.floats(1e-6, 1e9)
close = st.one_of(st.just(float("nan")), price)


def test_the_move_is_the_median_of_the_changes_that_are_known() -> None:
    before = {"A": 100.0, "B": 10.0, "C": 1.0, "D": 5.0}
    prices = {"A": 101.0, "B": 10.3, "C": 1.02, "E": 7.0}

    move = market_move(before, prices, ["A", "B", "C", "D", "E"], None)

    assert move == MarketMove(0.02, 3)


def test_below_a_quorum_the_move_is_unknown_and_says_of_how_many() -> None:
    move = market_move({"A": 1.0, "B": 1.0}, {"A": 1.1, "B": 1.1}, ["A", "B", "C", "D"], None)

    assert move == MarketMove(None, 2)


def test_each_basket_has_its_own_median_and_its_own_quorum() -> None:
    baskets = define_baskets([["A", "B", "C"], ["D", "E", "F"]], 0, 0)
    before = dict.fromkeys("ABCDE", 1.0)
    prices = {"A": 1.01, "B": 1.02, "C": 1.03, "D": 2.0, "E": 2.0}

    move = market_move(before, prices, ["A", "B", "C"], baskets)

    assert move == MarketMove(0.02, 3, baskets.version, (0.02, None))


def test_a_version_names_the_symbols_of_the_baskets_and_nothing_else() -> None:
    baskets = [["A", "B"], ["C", "D"]]

    assert define_baskets(baskets, 0, 5).version == define_baskets(baskets, 5, 9).version
    assert define_baskets(baskets, 0, 5).version != define_baskets(baskets[::-1], 0, 5).version


@pytest.mark.parametrize(
    ("members", "needed"), [(0, 3), (3, 3), (7, 4), (19, 10), (20, 10), (2_000, 10)]
)
def test_a_quorum_is_half_of_the_members_from_three_to_ten(members: int, needed: int) -> None:
    assert quorum(members) == needed


@given(price, price)
def test_a_change_is_always_one_that_a_record_may_hold(before: float, now: float) -> None:
    assert MIN_CHANGE_PPB <= change_ppb(before, now) <= MAX_CHANGE_PPB


@given(st.integers(MIN_CHANGE_PPB, MAX_CHANGE_PPB))
def test_a_change_goes_to_a_fraction_and_back_without_loss(ppb: int) -> None:
    assert to_ppb(to_fraction(ppb)) == ppb


@given(st.lists(st.integers(MIN_CHANGE_PPB, MAX_CHANGE_PPB), min_size=1))
def test_half_of_the_changes_lie_on_either_side_of_their_median(changes: list[int]) -> None:
    median = median_ppb(changes)

    assert 2 * sum(change < median - 1 for change in changes) <= len(changes)
    assert 2 * sum(change > median + 1 for change in changes) <= len(changes)


@given(st.lists(st.lists(close, min_size=12, max_size=12), min_size=2, max_size=6))
def test_a_matrix_of_closes_gives_the_moves_of_its_moments_to_the_bit(
    closes: list[list[float]],
) -> None:
    market = [*NAMES[2:11], "ABSENTUSDT"]
    moves = market_moves(np.array(closes), NAMES, market, BASKETS)

    for number, (before, now) in enumerate(pairwise(closes)):
        expected = market_move(_known(before), _known(now), market, BASKETS)
        assert _none_for_nan(moves.changes[number]) == expected.change
        assert moves.symbols[number] == expected.symbols
        found = tuple(map(_none_for_nan, moves.basket_changes[number].tolist()))
        assert found == expected.basket_changes


def test_without_a_definition_the_moves_have_no_baskets() -> None:
    moves = market_moves(np.ones((5, 12)), NAMES, NAMES, None)

    assert moves.basket_changes.shape == (4, 0)
    assert moves.changes.tolist() == [0.0] * 4


def _known(row: list[float]) -> dict[str, float]:
    return {name: value for name, value in zip(NAMES, row, strict=True) if not np.isnan(value)}


def _none_for_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
