"""The pooled fit of the intervals: finds what is there, and no symbol or candle decides."""

from dataclasses import astuple

import numpy as np
import pytest

from services.trainer.interval_fit import fit_intervals
from shared.core.arrays import Float64s
from shared.core.model.interval_settings import IntervalSettings
from shared.core.sequence import with_unknown_columns

STEP_MS = 300_000
CANDLES = 3_000


def _sequence(seed: int, size: float = 0.002, hours: np.ndarray | None = None) -> Float64s:
    """Return candles whose volatility swings, optionally with a profile of the day."""
    random = np.random.default_rng(seed)
    times = np.arange(CANDLES) * STEP_MS
    activity = np.ones(CANDLES) if hours is None else hours[times // 3_600_000 % 24]
    volatility = size * np.exp(0.7 * np.sin(np.arange(CANDLES) / 60.0)) * activity
    closes = 100.0 * np.cumprod(1.0 + volatility * np.clip(random.normal(size=CANDLES), -4, 4))
    opens = np.concatenate([[100.0], closes[:-1]])
    spread = 1.0 + 0.5 * volatility
    highs, lows = np.maximum(opens, closes) * spread, np.minimum(opens, closes) / spread
    rows = np.stack([times, opens, highs, lows, closes, np.ones(CANDLES)], axis=1)
    return with_unknown_columns(rows)


def _symbols(count: int, size: float = 0.002) -> dict[str, Float64s]:
    return {f"S{seed}": _sequence(seed, size) for seed in range(count)}


def test_the_quantiles_are_those_of_the_changes_in_their_forecasts() -> None:
    quantiles = fit_intervals(_symbols(3), STEP_MS).quantiles

    normal = np.array([-1.96, -1.645, -1.282, -0.674, 0.674, 1.282, 1.645, 1.96])
    np.testing.assert_allclose(quantiles, normal * np.sqrt(np.pi / 2), rtol=0.12)


def test_the_forecast_is_a_mean_of_what_it_is_made_from() -> None:
    settings = fit_intervals(_symbols(3), STEP_MS)

    assert min(settings.weights) >= 0.0
    assert settings.change == pytest.approx(0.0019, rel=0.3)


def test_the_profile_of_the_day_is_found_and_shrunk() -> None:
    hours = np.ones(24)
    hours[14] = 2.0
    symbols = {f"S{seed}": _sequence(seed, hours=hours) for seed in range(4)}

    settings = fit_intervals(symbols, STEP_MS)

    assert int(np.argmax(settings.hours)) == 14
    assert 1.4 < settings.hours[14] < 2.0
    np.testing.assert_allclose(settings.parts_of_an_hour, 1.0, atol=0.1)


def test_the_same_candles_give_the_same_settings_in_any_order() -> None:
    symbols = _symbols(3)

    assert fit_intervals(symbols, STEP_MS) == fit_intervals(
        dict(reversed(symbols.items())), STEP_MS
    )


@pytest.mark.parametrize("ratio", [0.001, 1000.0])
def test_one_absurd_symbol_moves_little(ratio: float) -> None:
    symbols = _symbols(5)
    absurd = symbols["S0"].copy()
    absurd[1_000:, 1:5] *= ratio
    absurd[2_000, 4] *= 50.0
    absurd[2_000, 2] *= 50.0

    clean = fit_intervals(symbols, STEP_MS)
    disturbed = fit_intervals({**symbols, "S0": absurd}, STEP_MS)

    for name in ("hours", "quantiles"):
        np.testing.assert_allclose(getattr(disturbed, name), getattr(clean, name), rtol=0.05)
    assert disturbed.change == pytest.approx(clean.change, rel=0.05)
    assert sum(disturbed.weights) == pytest.approx(sum(clean.weights), rel=0.1)


def test_too_few_candles_fit_the_size_of_a_change_alone() -> None:
    settings = fit_intervals({"S": _sequence(1, 0.0001)[:500]}, STEP_MS)

    assert settings.weights == IntervalSettings().weights
    assert settings.change == pytest.approx(0.0001, rel=0.5)


def test_no_candles_give_the_defaults() -> None:
    assert fit_intervals({}, STEP_MS) == IntervalSettings()


def test_prices_that_never_move_still_give_settings() -> None:
    flat = with_unknown_columns(
        np.column_stack([np.arange(3_000) * STEP_MS, *[np.full(3_000, 2.0)] * 4, np.zeros(3_000)])
    )

    values = astuple(fit_intervals({"S": flat}, STEP_MS))

    assert np.isfinite(np.concatenate([np.ravel(value) for value in values])).all()
