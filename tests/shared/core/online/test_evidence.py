"""Evidence that holds at any time: how rarely the useless, how soon the useful is flagged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.model.evidence_settings import EvidenceSettings
from shared.core.online.evidence import Evidence

SYMBOLS, CANDLES = 2_000, 5_000  # zero skill: more than a fortnight of 5-minute candles each
MONTH = 8_640


class _Gamblers:
    """The evidence of many symbols at once: `Evidence`, an array for each field."""

    def __init__(self, symbols: int, rate: float) -> None:
        self.rate = rate
        self.wealth = np.ones(symbols)
        self.payoffs, self.squares, self.gain = np.zeros((3, symbols))

    def step(self, forecast: np.ndarray, outcome: np.ndarray) -> np.ndarray:
        """Fold one outcome of each symbol; return which are actionable."""
        bounded = np.clip(outcome, -8.0, 8.0)
        payoff, largest = forecast * bounded, 8.0 * np.abs(forecast)
        bet = np.clip((100.0 + self.payoffs) / (100.0 + self.squares), 0.0, 1.0)
        bet = np.where(bet * largest <= 0.5, bet, 0.5 / np.maximum(largest, 1e-300))
        self.wealth = np.minimum(self.wealth * (1.0 + bet * payoff), 100.0 / self.rate)
        self.payoffs, self.squares = self.payoffs + payoff, self.squares + payoff * payoff
        self.gain = self.gain + forecast * (2.0 * bounded - forecast)
        return (self.wealth * self.rate >= 1.0) & (self.gain > 0.0)


def _flagged_ever(kind: str, rate: float, seed: int) -> float:
    """Return the share of symbols without skill that are ever flagged."""
    random = np.random.default_rng(seed)
    gamblers, flagged = _Gamblers(SYMBOLS, rate), np.zeros(SYMBOLS, dtype=bool)
    size = np.exp(random.normal(-2.0, 1.0, SYMBOLS))  # of the forecasts, in change scales
    last = np.zeros(SYMBOLS)
    volatility = np.ones(SYMBOLS)
    for _ in range(CANDLES):
        noise = random.standard_t(3, SYMBOLS) / np.sqrt(3.0)
        volatility = np.sqrt(0.05 + 0.85 * volatility**2 + 0.1 * last**2)
        outcome = volatility * noise if kind == "clustered" else noise
        direction = random.normal(size=SYMBOLS) if kind == "random" else -np.tanh(last)
        flagged |= gamblers.step(size * direction, outcome)
        last = outcome
    return float(flagged.mean())


@pytest.mark.parametrize("kind", ["random", "contrarian", "clustered"])
def test_useless_forecasts_are_flagged_no_more_often_than_the_rate(kind: str) -> None:
    """Looked at after every candle. Three standard errors of the simulation on top."""
    rate = 0.02

    share = _flagged_ever(kind, rate, seed=1)

    assert share <= rate + 3 * np.sqrt(rate * (1 - rate) / SYMBOLS)


def test_two_thousand_symbols_without_skill_stay_unflagged_at_the_default_rate() -> None:
    """The probability of any flag is at most 5 %."""
    assert _flagged_ever("clustered", EvidenceSettings().false_flag_rate, seed=2) == 0.0


def test_the_old_test_flagged_many_of_them() -> None:
    """A statistic made for one look, 1.645 standard errors after each of a month's candles."""
    random = np.random.default_rng(3)
    gain, squares, flagged = np.zeros(500), np.zeros(500), np.zeros(500, dtype=bool)
    for candle in range(MONTH):
        forecast, outcome = 0.02 * random.normal(size=500), random.normal(size=500)
        step = forecast * (2.0 * outcome - forecast)
        gain, squares = gain + step, squares + step * step
        flagged |= (gain > 1.645 * np.sqrt(squares)) & (candle >= 288)

    assert flagged.mean() > 0.1


def test_a_forecast_with_skill_is_flagged_within_days() -> None:
    """Two per cent of the variance explained: half of the symbols within eight days."""
    random = np.random.default_rng(4)
    settings = EvidenceSettings()
    gamblers, first = _Gamblers(400, settings.false_flag_rate), np.full(400, MONTH)
    for candle in range(MONTH):
        forecast = np.sqrt(0.02) * random.normal(size=400)
        actionable = gamblers.step(forecast, forecast + random.normal(size=400))
        first = np.where(actionable & (first == MONTH), candle, first)

    assert np.median(first) < 8 * 288
    assert (first < MONTH).mean() > 0.99


def test_the_flag_is_withdrawn_when_the_skill_is_gone() -> None:
    random = np.random.default_rng(5)
    settings, evidence = EvidenceSettings(), Evidence()
    for _ in range(20_000):
        forecast = 0.2 * random.normal()
        evidence = evidence.with_outcome(forecast, forecast + random.normal(), settings)
    assert evidence.is_actionable(settings)

    for _ in range(10_000):
        evidence = evidence.with_outcome(0.2 * random.normal(), random.normal(), settings)

    assert not evidence.is_actionable(settings)


def test_the_simulation_is_the_evidence_itself() -> None:
    random = np.random.default_rng(6)
    settings, evidence = EvidenceSettings(0.01), Evidence()
    gamblers = _Gamblers(1, 0.01)
    for _ in range(300):
        forecast, outcome = float(0.5 * random.normal()), float(3 * random.normal())
        evidence = evidence.with_outcome(forecast, outcome, settings)
        actionable = gamblers.step(np.array([forecast]), np.array([outcome]))
        assert evidence.is_actionable(settings) == actionable[0]
    assert evidence.wealth == pytest.approx(gamblers.wealth[0])


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e9, 1e9)), max_size=50))
def test_wealth_stays_positive_and_finite_whatever_comes(
    outcomes: list[tuple[float, float]],
) -> None:
    settings, evidence = EvidenceSettings(), Evidence()
    for forecast, outcome in outcomes:
        evidence = evidence.with_outcome(forecast, outcome, settings)

    assert 0.0 < evidence.wealth <= 100.0 / settings.false_flag_rate
    assert np.isfinite([evidence.payoffs, evidence.squared_payoffs, evidence.gain]).all()


def test_one_absurd_outcome_flags_nothing() -> None:
    settings = EvidenceSettings()

    evidence = Evidence().with_outcome(100.0, 1e9, settings)

    assert evidence.wealth <= 1.5
    assert not evidence.is_actionable(settings)


@pytest.mark.parametrize("rate", [0.0, -1.0, 2.0, float("nan")])
def test_a_rate_that_is_no_probability_is_rejected(rate: float) -> None:
    with pytest.raises(BadInput, match="false_flag_rate"):
        EvidenceSettings(rate)
