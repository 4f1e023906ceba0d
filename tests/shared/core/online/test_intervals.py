"""Intervals: coverage whatever comes, order, bounded influence of any one candle."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.model.interval_settings import IntervalSettings
from shared.core.online.interval_codec import interval_fields, interval_state
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.online.intervals import (
    IntervalState,
    intervals,
    start_intervals,
    step_intervals,
)
from shared.core.online.quantiles import order

STEP_MS = 300_000
SETTINGS = IntervalSettings()
Row = tuple[float, float, float, float, float]


def _rows(closes: list[float], first_ms: int = 0) -> list[Row]:
    """Return candles that open at the close before."""
    opens = [closes[0], *closes[:-1]]
    return [
        (first_ms + index * STEP_MS, opened, max(opened, close), min(opened, close), close)
        for index, (opened, close) in enumerate(zip(opens, closes, strict=True))
    ]


def _fold(rows: list[Row], state: IntervalState | None = None) -> IntervalState:
    state = state or start_intervals(SETTINGS)
    for row in rows:
        state = step_intervals(state, row, SETTINGS, STEP_MS, is_scored=True)
    return state


def _walk(changes: np.ndarray, start: float = 100.0) -> list[Row]:
    return _rows((start * np.cumprod(1.0 + changes)).tolist())


def _coverage(scores: IntervalScores) -> np.ndarray:
    return np.array(scores.covered) / scores.n


def _clustered(n: int, seed: int) -> np.ndarray:
    """Return changes with fat tails whose volatility swings by a factor of seven."""
    random = np.random.default_rng(seed)
    volatility = 0.001 * np.exp(np.sin(np.arange(n) / 100.0))
    changes: np.ndarray = np.clip(volatility * random.standard_t(4, n), -0.2, 0.2)
    return changes


@pytest.mark.parametrize("scale", [1e-5, 1e-3, 3e-2])
def test_coverage_is_nominal_for_a_symbol_of_any_volatility(scale: float) -> None:
    changes = np.random.default_rng(1).standard_t(4, 8_000) * scale

    scores = _fold(_walk(np.clip(changes, -0.5, 0.5))).scores

    np.testing.assert_allclose(_coverage(scores), np.array(COVERAGES) / 100, atol=0.01)


def test_coverage_is_nominal_and_loss_lower_where_volatility_wanders() -> None:
    scores = _fold(_walk(_clustered(8_000, 2))).scores

    np.testing.assert_allclose(_coverage(scores), np.array(COVERAGES) / 100, atol=0.01)
    assert scores.pinball_loss < scores.pinball_loss_constant


def test_coverage_is_nominal_where_most_candles_do_not_move() -> None:
    """Ties count as inside, so the bounds step beside the last close as often as they must."""
    random = np.random.default_rng(3)
    ticks = random.choice([-1, 0, 1], size=8_000, p=[0.2, 0.6, 0.2])
    closes = 0.5 + 0.001 * np.abs(np.cumsum(ticks) % 100 - 50)

    scores = _fold(_rows(closes.tolist())).scores

    np.testing.assert_allclose(_coverage(scores), np.array(COVERAGES) / 100, atol=0.01)


def test_intervals_move_with_the_predicted_change() -> None:
    state = _fold(_walk(_clustered(500, 4)))

    for without, around in zip(
        intervals(state, 0.0, 100.0), intervals(state, 0.01, 100.0), strict=True
    ):
        assert around.lower_change == pytest.approx(without.lower_change + 0.01)
        assert around.upper_change == pytest.approx(without.upper_change + 0.01)


def test_a_predicted_change_is_taken_off_the_outcome() -> None:
    """With a perfect forecast the intervals shrink to nothing."""
    changes = _clustered(6_000, 5)
    state = start_intervals(SETTINGS)
    for row, change in zip(_walk(changes), changes.tolist(), strict=True):
        state = step_intervals(state, row, SETTINGS, STEP_MS, centre=change, is_scored=True)

    outer = intervals(state, 0.0, 100.0)[-1]
    assert outer.upper_change - outer.lower_change < 0.05 * state.volatility.forecast * 5


def test_only_published_intervals_are_scored_but_all_outcomes_are_learnt_from() -> None:
    rows = _walk(_clustered(50, 6))
    state = start_intervals(SETTINGS)
    for row in rows:
        state = step_intervals(state, row, SETTINGS, STEP_MS)

    assert state.scores == IntervalScores()
    assert replace(_fold(rows), scores=IntervalScores()) == state
    assert state.outcomes == 49


def test_a_candle_across_a_gap_is_no_outcome() -> None:
    before = _fold(_walk(_clustered(50, 7)))
    row = (1_000 * STEP_MS, 400.0, 401.0, 399.0, 400.0)

    after = _fold([row], before)

    assert (after.outcomes, after.quantiles) == (before.outcomes, before.quantiles)
    assert after.volatility.means[0] == pytest.approx(2.0 / 400.0, rel=0.3)


@settings(max_examples=40)
@given(
    st.lists(st.floats(0.001, 1000.0), min_size=1, max_size=60),
    st.floats(-0.99, 10.0),
    st.integers(0, 2**20),
)
def test_bounds_are_finite_nested_and_above_zero_whatever_comes(
    ratios: list[float], centre: float, seed: int
) -> None:
    calm = np.random.default_rng(seed).normal(0, 0.001, 30)
    closes = np.clip(np.cumprod([*(1.0 + calm), *ratios]), 1e-9, 1e12)
    state = _fold(_rows(closes.tolist()))

    inner: tuple[float, float] | None = None
    for interval in intervals(state, centre, closes[-1]):
        assert -0.99 <= interval.lower_change <= interval.upper_change <= 1e6
        assert 0.0 < interval.lower_close <= interval.upper_close < np.inf
        if inner is not None:
            assert interval.lower_change <= inner[0]
            assert inner[1] <= interval.upper_change
        inner = (interval.lower_change, interval.upper_change)


@pytest.mark.parametrize("ratio", [0.001, 0.2, 5.0, 20.0, 1000.0])
@pytest.mark.parametrize("is_back", [False, True], ids=["stays", "returns"])
def test_one_absurd_candle_does_little_harm_for_a_short_time(ratio: float, is_back: bool) -> None:
    changes = np.random.default_rng(8).normal(0, 0.002, 1_300)
    closes = 100.0 * np.cumprod(1.0 + changes)
    absurd = closes.copy()
    absurd[1_000 : 1_001 if is_back else None] *= ratio
    calm = _fold(_rows(closes[:1_001].tolist()))

    at_once = _fold(_rows(absurd[:1_003].tolist()))
    later = _fold(_rows(absurd.tolist()))
    undisturbed = _fold(_rows(closes.tolist()))

    assert at_once.volatility.forecast < 40 * calm.volatility.forecast
    assert later.volatility.forecast < 1.2 * undisturbed.volatility.forecast
    for after, before in zip(at_once.quantiles, calm.quantiles, strict=True):
        assert abs(after - before) < 0.2  # an outcome counts by its side alone


def test_a_listing_that_opens_absurdly_is_forgotten_within_a_day() -> None:
    changes = np.random.default_rng(9).normal(0, 0.002, 288)
    rows = _walk(changes, 0.5)
    listing = start_intervals(SETTINGS)
    listing = step_intervals(listing, (-STEP_MS, 0.01, 0.5, 0.01, 0.5), SETTINGS, STEP_MS)

    state = _fold(rows, listing)

    assert state.volatility.forecast == pytest.approx(0.0016, rel=0.3)


def test_a_flat_price_gives_bounds_beside_it_for_ever() -> None:
    for interval in intervals(_fold(_rows([5.0] * 20_000)), 0.0, 5.0):
        assert interval.upper_change - interval.lower_change < 1e-4


def test_a_cold_symbol_is_near_its_volatility_within_an_hour() -> None:
    changes = np.random.default_rng(10).normal(0, 0.0002, 12)

    state = _fold(_walk(changes))

    assert state.volatility.forecast < 4 * 0.0002


@pytest.mark.parametrize(
    ("quantiles", "ordered"),
    [
        ((-4, -3, -2, -1, 1, 2, 3, 4), (-4, -3, -2, -1, 1, 2, 3, 4)),
        ((-4, -3, -2, 1, -1, 2, 3, 4), (-4, -3, -2, 0, 0, 2, 3, 4)),
        ((-1, -2, -3, -1, 1, 0, 5, 4), (-3, -3, -3, -1, 1, 1, 5, 5)),
    ],
)
def test_quantiles_are_put_in_order(
    quantiles: tuple[float, ...], ordered: tuple[float, ...]
) -> None:
    assert order(quantiles) == ordered


@given(st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=8))
def test_ordered_quantiles_rise(quantiles: list[float]) -> None:
    ordered = order(tuple(quantiles))

    assert all(lower <= upper for lower, upper in pairwise(ordered))
    assert order(ordered) == ordered


def test_a_state_survives_its_json() -> None:
    state = _fold(_walk(_clustered(100, 11)))

    assert interval_state(json.loads(json.dumps(interval_fields(state)))) == state


def test_scores_add_up_over_symbols() -> None:
    one, other = (_fold(_walk(_clustered(200, seed))).scores for seed in (12, 13))

    total = one.plus(other)

    assert total.n == one.n + other.n
    assert total.covered == tuple(a + b for a, b in zip(one.covered, other.covered, strict=True))
    assert total.pinball_loss == one.pinball_loss + other.pinball_loss


@pytest.mark.parametrize(
    "change",
    [
        {"weights": (0.0,) * 5},
        {"weights": (1.0,)},
        {"weights": (float("nan"),) * 5},
        {"hours": (0.0,) * 24},
        {"quantiles": (1.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)},
        {"change": 0.0},
        {"true_range": float("inf")},
    ],
)
def test_settings_that_give_no_intervals_are_rejected(change: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="interval"):
        IntervalSettings(**change)  # type: ignore[arg-type]
