"""Moves that were measured as they should be keep the rules; wrong ones break them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.arrays import Float64s
from shared.core.audit.market_bounds import KnownChanges, known_changes
from shared.core.audit.market_rules import (
    CONTRADICTION,
    OUT_OF_BOUNDS,
    LoggedMedians,
    check_agreement,
    check_bounds,
    typical_distance,
)
from shared.core.market import market_move
from tests.support.builders import START_MS, STEP_MS


@st.composite
def a_moment(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float, float, float]], list[str]]:
    """Draw (close before, low, close, high) by symbol, and the market's symbols.

    The market lacks some of the symbols, and has some that have no candles.
    """
    count = draw(st.integers(3, 30))
    positive = st.floats(0.5, 2.0)
    rows = {}
    for number in range(count):
        low, close, high = sorted(draw(st.tuples(positive, positive, positive)))
        rows[f"S{number}"] = (draw(positive), low, close, high)
    left_out = draw(st.integers(0, count // 8))
    added = draw(st.integers(0, (count - left_out) // 8))
    return rows, [*list(rows)[left_out:], *(f"X{number}" for number in range(added))]


def sequences_of(
    rows: dict[str, tuple[float, float, float, float]],
) -> dict[str, Float64s]:
    return {
        symbol: np.array(
            [
                [START_MS, before, before, before, before, 1.0],
                [START_MS + STEP_MS, low, high, low, close, 1.0],
            ]
        )
        for symbol, (before, low, close, high) in rows.items()
    }


def one_median(value: float, members: int) -> LoggedMedians:
    return LoggedMedians(np.array([0]), np.array([0]), np.array([value]), np.array([members]))


def changes_at(rows: dict[str, tuple[float, float, float, float]]) -> KnownChanges:
    return known_changes(sequences_of(rows), list(rows), START_MS + STEP_MS, 1, STEP_MS)


@given(a_moment(), st.data())
def test_no_prices_of_the_interval_give_a_move_out_of_bounds(
    moment: tuple[dict[str, tuple[float, float, float, float]], list[str]], data: st.DataObject
) -> None:
    rows, market = moment
    before = {symbol: row[0] for symbol, row in rows.items()}
    heard = {symbol: data.draw(st.floats(row[1], row[3])) for symbol, row in rows.items()}
    unlisted = [symbol for symbol in market if symbol not in rows]
    before |= dict.fromkeys(unlisted, 1.0)
    heard |= {symbol: data.draw(st.floats(0.1, 10.0)) for symbol in unlisted}

    move = market_move(before, heard, market, None)

    if move.change is not None:
        check = check_bounds(one_median(move.change, move.symbols), changes_at(rows))
        assert check.faults == []


def forty(
    change: float = 0.01, spread: float = 1e-4
) -> dict[str, tuple[float, float, float, float]]:
    """Return 40 symbols that moved by about the same, in candles of a small range."""
    changes = [change + spread * (number - 20) for number in range(40)]
    return {
        f"S{number}": (
            100.0,
            100.0 * (1.0 + each - 1e-4),
            100.0 * (1.0 + each),
            100.0 * (1.0 + each + 1e-4),
        )
        for number, each in enumerate(changes)
    }


@pytest.mark.parametrize("wrong", [-0.01, 0.0, 0.02, 0.005, 0.0085, 0.0115])
def test_a_move_beyond_what_the_candles_allow_is_a_fault(wrong: float) -> None:
    (fault,) = check_bounds(one_median(wrong, 40), changes_at(forty())).faults

    assert (fault.row, fault.rule, fault.found) == (0, OUT_OF_BOUNDS, wrong)
    assert fault.lower < 0.01 < fault.upper


@pytest.mark.parametrize(
    ("members", "compared"), [(40, True), (45, True), (70, False), (80, False)]
)
def test_a_move_of_symbols_that_the_log_mostly_lacks_is_not_compared(
    members: int, compared: bool
) -> None:
    check = check_bounds(one_median(0.01, members), changes_at(forty()))

    assert check.is_compared.tolist() == [compared]
    assert check.faults == []


def test_a_moment_without_the_close_before_has_no_bounds() -> None:
    known = known_changes(sequences_of(forty()), list(forty()), START_MS, 2, STEP_MS)

    assert known.counts.tolist() == [0, 40]


def records_of(values: Sequence[float], members: Sequence[int]) -> LoggedMedians:
    count = len(values)
    return LoggedMedians(
        np.arange(count), np.zeros(count, dtype=int), np.array(values), np.array(members)
    )


def test_records_of_a_moment_may_differ_by_a_part_of_the_prices_range() -> None:
    known = changes_at(forty())
    near = records_of([0.01, 0.01, 0.0101, 0.0099], [40] * 4)
    assert check_agreement(near, known) == []

    (fault,) = check_agreement(records_of([0.01, 0.01, 0.0112, 0.01], [40] * 4), known)

    assert (fault.row, fault.rule) == (2, CONTRADICTION)


def test_records_of_far_fewer_symbols_may_say_something_else() -> None:
    few = records_of([0.01, 0.01, 0.05], [40, 41, 5])

    assert check_agreement(few, changes_at(forty())) == []


def test_the_typical_distance_tells_moves_of_another_moment() -> None:
    moves = np.random.default_rng(1).normal(scale=1e-3, size=5_000)

    same = typical_distance(np.abs(moves - moves), np.abs(moves))
    late = typical_distance(np.abs(np.roll(moves, 1) - moves), np.abs(moves))

    assert same == 0.0
    assert late is not None
    assert math.isclose(late, 1.4, abs_tol=0.1)


def test_few_moves_or_a_still_market_have_no_typical_distance() -> None:
    assert typical_distance(np.ones(10), np.ones(10)) is None
    assert typical_distance(np.ones(5_000), np.zeros(5_000)) is None
