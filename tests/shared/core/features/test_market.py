"""The feature set of a symbol beside its market."""

from math import nan, sqrt

import numpy as np
import pytest

from shared.core.arrays import Float64s
from shared.core.features.market import MarketCarry, MarketFeatures
from shared.core.features.robust import WEIGHT_3, volatility
from shared.core.sequence import (
    BASKET_CHANGES,
    BASKETS,
    CLOSE,
    HIGH,
    LOW,
    MARKET_CHANGE,
    MARKET_SYMBOLS,
    OPEN,
    baskets_code,
)
from tests.support.builders import STEP_MS, a_sequence

VERSION = "0000000a"
COUNT = 2_000
MARKET, SHORT_LAG, LONG_LAG, EXPOSURE, FOLLOW, FIRST_BASKET = 7, 8, 9, 10, 11, 12


def beside_a_market(exposure: float, late: float, count: int = COUNT) -> Float64s:
    """A symbol that moves with the market by `exposure`, and by `late` one candle later."""
    rng = np.random.default_rng(5)
    market, own = rng.normal(scale=0.002, size=(2, count))
    changes = exposure * market + late * np.roll(market, 1) + own / 2.0
    sequence = a_sequence(1, count).copy()
    closes = 100.0 * np.cumprod(1.0 + changes)
    sequence[:, OPEN] = np.concatenate([[100.0], closes[:-1]])
    sequence[:, CLOSE] = closes
    sequence[:, HIGH] = sequence[:, [OPEN, CLOSE]].max(axis=1)
    sequence[:, LOW] = sequence[:, [OPEN, CLOSE]].min(axis=1)
    sequence[:, MARKET_CHANGE], sequence[:, MARKET_SYMBOLS] = market, 40
    sequence[:, BASKETS] = baskets_code(VERSION)
    sequence[:, BASKET_CHANGES] = market[:, None] + rng.normal(scale=0.001, size=(count, 12))
    return sequence


def rows_of(sequence: Float64s, version: str | None = VERSION) -> Float64s:
    return MarketFeatures(version).compute(sequence, STEP_MS).rows


def test_the_market_and_baskets_are_in_volatilities_of_the_symbol() -> None:
    sequence = beside_a_market(1.0, 0.0)
    folded = MarketFeatures(VERSION).compute(sequence, STEP_MS)

    move, unit = sequence[-1, MARKET_CHANGE], folded.units[-1]
    excess = sequence[-1, BASKET_CHANGES] - move
    assert folded.rows[-1, MARKET] == pytest.approx(move / unit)
    assert folded.rows[-1, FIRST_BASKET:] == pytest.approx(np.clip(excess / unit, -4, 4))


def test_the_exposure_is_that_of_a_regression() -> None:
    sequence = beside_a_market(1.0, 0.0)

    row = rows_of(sequence)[-1]

    # Changes of 1 x 0.002 and of 0.001 of its own: the market's volatility in the symbol's.
    assert row[EXPOSURE] / 2.0 + 0.6 == pytest.approx(2.0 / sqrt(5.0), abs=0.05)


def test_who_follows_late_is_known_to_follow() -> None:
    prompt, late = rows_of(beside_a_market(1.0, 0.0)), rows_of(beside_a_market(0.3, 0.7))

    assert abs(prompt[-1, FOLLOW]) < 1.0
    assert late[-1, FOLLOW] > 3.0


def test_the_lag_is_the_decayed_sum_of_what_the_market_explains_less_the_change() -> None:
    sequence = beside_a_market(0.6, 0.0)
    market = MarketFeatures(VERSION)
    before = MarketCarry._make(market.compute(sequence[:-1], STEP_MS).carry)
    after = MarketCarry._make(market.compute(sequence, STEP_MS).carry)

    behind = after.with_market / after.market_square * after.market_z - after.z_score

    assert after.short_lag == pytest.approx((1.0 - WEIGHT_3) * (before.short_lag + behind))


def test_the_market_explains_the_exposed_part_of_a_change() -> None:
    sequence = beside_a_market(1.0, 0.0)

    folded = MarketFeatures().compute(sequence, STEP_MS)

    changes = sequence[1:, CLOSE] / sequence[:-1, CLOSE] - 1.0
    rest = changes - folded.explained[1:]
    assert np.var(rest[500:]) < 0.3 * np.var(changes[500:])  # a fifth is the symbol's own


def test_what_is_explained_is_bounded() -> None:
    market, sequence = MarketFeatures(), beside_a_market(1.0, 0.0)
    carry = market.compute(sequence, STEP_MS).carry

    explained = market.explained_change(carry, 1000.0)

    assert 0.0 < explained <= 3.0 * 6.0 * market.change_unit(carry)
    assert market.explained_change(carry, nan) == 0.0


def test_an_unknown_market_leaves_what_is_slow_and_zeroes_what_is_new() -> None:
    sequence = beside_a_market(0.3, 0.7)
    sequence[-5:, MARKET_CHANGE:] = nan

    rows = rows_of(sequence)

    assert (rows[-5:, [MARKET, *range(FIRST_BASKET, 24)]] == 0.0).all()
    assert rows[-1, EXPOSURE] == rows[-6, EXPOSURE]
    assert rows[-2, FOLLOW] == rows[-1, FOLLOW] == rows[-6, FOLLOW]
    assert rows[-1, LONG_LAG] == pytest.approx(rows[-6, LONG_LAG] * 0.5 ** (5 / 12))


def test_baskets_of_another_version_are_unknown() -> None:
    sequence = beside_a_market(1.0, 0.0)
    other, none = rows_of(sequence, "0000000b"), rows_of(sequence, None)

    assert (other[:, FIRST_BASKET:] == 0.0).all()
    assert other.tobytes() == none.tobytes()
    assert other[:, :FIRST_BASKET].tobytes() == rows_of(sequence)[:, :FIRST_BASKET].tobytes()


def test_a_basket_alone_may_be_unknown() -> None:
    sequence = beside_a_market(1.0, 0.0)
    sequence[-1, BASKET_CHANGES.start + 2] = nan

    row = rows_of(sequence)[-1]

    assert row[FIRST_BASKET + 2] == 0.0
    assert (row[[FIRST_BASKET + 1, FIRST_BASKET + 3]] != 0.0).all()


def test_a_mirrored_market_gives_mirrored_rows() -> None:
    sequence = beside_a_market(0.5, 0.3)
    turned = sequence.copy()
    turned[:, [OPEN, HIGH, LOW, CLOSE]] = 1e4 / sequence[:, [OPEN, LOW, HIGH, CLOSE]]
    turned[:, MARKET_CHANGE] = 1.0 / (1.0 + sequence[:, MARKET_CHANGE]) - 1.0
    turned[:, BASKET_CHANGES] = 1.0 / (1.0 + sequence[:, BASKET_CHANGES]) - 1.0
    turned[:, 5] = sequence[:, 5] * sequence[:, CLOSE] / turned[:, CLOSE]  # the same turnover

    rows, other = rows_of(sequence), rows_of(turned)

    assert other[100:] == pytest.approx(rows[100:] * MarketFeatures().mirror, abs=0.15)


def test_the_unit_is_the_volatility() -> None:
    carry = MarketFeatures().compute(beside_a_market(1.0, 0.0), STEP_MS).carry

    assert MarketFeatures().change_unit(carry) == volatility(MarketCarry._make(carry).variance)
