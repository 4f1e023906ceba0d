"""Intervals summarised: coverage, widths and losses beside those of other volatilities."""

import json

import numpy as np
import pytest

from shared.core.arrays import Float64s
from shared.core.evaluation.backtest import SymbolBacktest, run_backtest
from shared.core.evaluation.forecasts import split_at
from shared.core.evaluation.interval_summary import (
    CONSTANT,
    EXPONENTIAL,
    IntervalSummary,
    summarise_intervals,
)
from shared.core.online.interval_scores import COVERAGES, IntervalScores
from shared.core.sequence import with_unknown_columns
from tests.support.builders import CONTEXT, START_MS, STEP_MS, a_bundle

CANDLES = 1_500


def a_swinging_sequence(seed: int) -> Float64s:
    """Candles of a random walk whose volatility swings by a factor of seven."""
    random = np.random.default_rng(seed)
    volatility = 0.001 * np.exp(np.sin(np.arange(CANDLES) / 60.0))
    closes = 100.0 * np.cumprod(1.0 + volatility * random.normal(size=CANDLES))
    opens = np.concatenate([[100.0], closes[:-1]])
    spread = 1.0 + 0.5 * volatility
    rows = [
        START_MS + STEP_MS * np.arange(CANDLES, dtype=np.float64),
        opens,
        np.maximum(opens, closes) * spread,
        np.minimum(opens, closes) / spread,
        closes,
        np.ones(CANDLES),
    ]
    return with_unknown_columns(np.column_stack(rows))


@pytest.fixture(scope="module")
def backtests() -> list[SymbolBacktest]:
    sequences = {f"S{seed}": a_swinging_sequence(seed) for seed in (2, 1)}
    spans = split_at(sequences, START_MS + 200 * STEP_MS)
    return [run_backtest(a_bundle(), CONTEXT, span) for span in spans]


@pytest.fixture(scope="module")
def summary(backtests: list[SymbolBacktest]) -> IntervalSummary:
    found = summarise_intervals(backtests)
    assert found is not None
    return found


def test_coverage_is_counted_from_the_published_closes(backtests: list[SymbolBacktest]) -> None:
    one = backtests[0]
    closes = one.rows["close"][1:]

    for index, coverage in enumerate(COVERAGES):
        lower, upper = (one.rows[f"{side}_{coverage}"][:-1] for side in ("lower", "upper"))
        inside = (lower <= closes) & (closes <= upper)
        assert one.interval_scores.covered[index] == inside.sum()


def test_shares_are_pooled_and_the_furthest_symbol_is_named(summary: IntervalSummary) -> None:
    for index, coverage in enumerate(COVERAGES):
        shares = [one.coverage[index] for one in summary.symbols]
        assert summary.coverage(index) == pytest.approx(np.mean(shares))
        worst, symbol = summary.worst_coverage(index)
        assert symbol in {"S1", "S2"}
        assert abs(worst - coverage / 100) == max(abs(share - coverage / 100) for share in shares)


def test_losses_are_below_those_of_constant_volatility(summary: IntervalSummary) -> None:
    constant, exponential = summary.skills[CONSTANT], summary.skills[EXPONENTIAL]

    assert constant is not None
    assert exponential is not None
    assert constant.value > 0.02
    assert constant.p < 0.01
    assert constant.value == pytest.approx(
        np.mean([one.less_than[CONSTANT] for one in summary.symbols]), rel=1e-6
    )


def test_a_summary_is_plain_values(summary: IntervalSummary) -> None:
    fields = json.loads(json.dumps(summary.to_fields()))

    assert set(fields["levels"]) == {"50", "80", "90", "95"}
    assert set(fields["symbols"]) == {"S1", "S2"}


def test_symbols_without_outcomes_have_no_summary(backtests: list[SymbolBacktest]) -> None:
    nothing = SymbolBacktest("S3", backtests[0].rows[:0], backtests[0].scores, IntervalScores())

    assert summarise_intervals([nothing]) is None
    assert summarise_intervals([nothing, *backtests]) == summarise_intervals(backtests)
