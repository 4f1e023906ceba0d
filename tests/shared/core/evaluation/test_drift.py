"""A version has drifted if its recent forecasts are worse than chance allows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.evaluation.drift import RecentErrors, drift_reason, held_out_skill
from shared.core.evaluation.skill_score import Skill, skill_score
from shared.core.online.interval_scores import IntervalScores
from shared.core.online.prediction import Outcome, Prediction
from shared.core.online.scores import Scores
from tests.support.builders import START_MS, STEP_MS, a_card

SCALE = 0.002
VERSION = "v1"


def a_prediction(
    at: int,
    previous: tuple[float, float | None] | None = None,
    symbol: str = "BTCUSDT",
    version: str = VERSION,
) -> Prediction:
    """Return a prediction; `previous` has the forecast of the candle before and its outcome."""
    before = (
        None
        if previous is None
        else Outcome(START_MS + (at - 1) * STEP_MS, version, 0.0, *previous)
    )
    return Prediction(
        symbol=symbol,
        interval="5m",
        open_time_ms=START_MS + at * STEP_MS,
        close=100.0,
        predicted_change=0.0,
        predicted_close=100.0,
        change_scale=SCALE,
        calibration=1.0,
        calibrated_change=0.0,
        calibrated_close=100.0,
        actionable=False,
        intervals=(),
        model_version=version,
        steps=at,
        loss=None,
        was_reset=False,
        previous=before,
        scores=Scores(),
        interval_scores=IntervalScores(),
        source_offset=at,
        promotion_offset=0,
        corrections=0,
        state_digest="0" * 64,
        numeric_profile="4-test",
    )


def series(
    share: float, count: int, symbol: str = "BTCUSDT", seed: int = 1, scale: float = SCALE
) -> list[Prediction]:
    """A forecast is this share of the outcome, and noise."""
    draw = np.random.default_rng(seed)
    outcomes, noise = draw.normal(0, scale, count), draw.normal(0, 0.1 * scale, count)
    changes = share * outcomes + noise
    return [
        replace(
            a_prediction(at, (float(changes[at]), float(outcomes[at])), symbol), change_scale=scale
        )
        for at in range(count)
    ]


def recent(
    predictions: list[Prediction], moments: int = 50, promised: Skill | None = None
) -> RecentErrors:
    found = RecentErrors(VERSION, moments, promised)
    for prediction in predictions:
        found.add(prediction)
    return found


def value_of(found: RecentErrors) -> float:
    known = found.skill()
    assert known is not None
    return known.value


def test_forecasts_worse_than_zero_change_are_drift_and_the_reason_has_figures() -> None:
    reason = recent(series(-0.3, 60)).drift()

    assert reason is not None
    assert "over the last 50 candles is -" in reason
    assert "below zero with p = " in reason


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_forecasts_with_skill_are_no_drift(share: float) -> None:
    assert recent(series(share, 60)).drift() is None


def test_a_skill_above_zero_is_drift_if_it_was_much_higher_on_held_out_candles() -> None:
    promised = Skill(0.9, 0.85, 0.95, 1e-9, 500)

    reason = recent(series(0.1, 60), promised=promised).drift()

    assert reason is not None
    assert "below its +90.000% on held-out candles with p = " in reason
    assert recent(series(0.1, 60), promised=replace(promised, low=-9.0, high=11.0)).drift() is None


def test_too_few_moments_are_no_drift() -> None:
    assert (
        recent(series(-0.3, 51)).drift() is None
    )  # 50 outcomes, and the last moment may still lack symbols
    assert recent(series(-0.3, 52)).drift() is not None


def test_forecasts_of_no_change_are_no_drift() -> None:
    still = [replace(a_prediction(at, (0.0, 0.001)), change_scale=SCALE) for at in range(60)]

    assert value_of(recent(still)) == 0.0
    assert recent(still).drift() is None


def test_other_versions_gaps_and_missing_predictions_do_not_count() -> None:
    known = series(0.5, 60)
    others = series(-5.0, 60)
    strange = [
        replace(p, previous=replace(p.previous, model_version="v0")) for p in others if p.previous
    ]
    gaps = [
        replace(p, previous=replace(p.previous, outcome_change=None)) for p in others if p.previous
    ]

    for more in (strange, gaps, others[::2]):
        assert value_of(recent(known + more)) == value_of(recent(known))


def test_one_wild_outcome_does_not_decide() -> None:
    calm = series(0.5, 60)
    wild = [
        replace(p, previous=replace(p.previous, outcome_change=-1000.0))
        if at == 30 and p.previous
        else p
        for at, p in enumerate(calm)
    ]

    assert value_of(recent(calm)) > 0.5
    assert value_of(recent(wild)) > -1.5


@given(st.permutations(["AAA", "BBB", "CCC"]), st.integers(60, 80))
def test_partitions_may_be_read_one_after_the_other(order: list[str], count: int) -> None:
    by_symbol = {
        name: series(0.4, count, name, seed) for seed, name in enumerate(["AAA", "BBB", "CCC"])
    }
    at_once = [by_symbol[name][at] for at in range(count) for name in sorted(by_symbol)]

    one_by_one = [prediction for name in order for prediction in by_symbol[name]]

    assert value_of(recent(one_by_one)) == pytest.approx(value_of(recent(at_once)), rel=1e-12)


@given(st.integers(2, 40), st.integers(0, 100), st.floats(-2, 2), st.floats(0.1, 10))
def test_skill_is_that_of_the_newest_whole_moments_in_any_scale(
    moments: int, more: int, share: float, scale: float
) -> None:
    predictions = series(share, moments + more + 2, scale=SCALE * scale)

    found = recent(predictions, moments).skill()

    whole = [p.previous for p in predictions[1:-1] if p.previous][-moments:]
    outcomes = np.clip([(p.outcome_change or 0.0) / (SCALE * scale) for p in whole], -8, 8)
    missed = np.array([p.calibrated_change / (SCALE * scale) for p in whole]) - outcomes
    expected = skill_score(missed * missed, outcomes * outcomes)
    assert found is not None
    assert expected is not None
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    assert found.n == moments


@given(st.floats(-1, 1), st.floats(0, 0.1), st.floats(-1, 1), st.floats(0, 0.1))
def test_a_worse_skill_is_drift_wherever_a_better_one_is(
    value: float, width: float, other: float, reach: float
) -> None:
    promised = Skill(other, other - reach, other + reach, 0.5, 100)
    better, worse = (Skill(at, at - width, at + width, 0.5, 100) for at in (value, value - 0.1))

    assert drift_reason(better, promised) is None or drift_reason(worse, promised) is not None
    assert drift_reason(promised, promised) is None or other < 0


def test_a_card_has_the_skill_on_held_out_candles() -> None:
    known = Skill(0.1, 0.0, 0.2, 0.01, 99)
    scores = {
        "forecasts": {
            "challenger": {"skill": {"value": 0.1, "low": 0.0, "high": 0.2, "p": 0.01, "n": 99}}
        }
    }

    assert held_out_skill(replace(a_card(), scores=scores)) == known
    assert held_out_skill(a_card()) is None
