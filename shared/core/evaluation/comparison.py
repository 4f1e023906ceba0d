"""Compare forecasts of the same held-out candles."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.forecast_errors import (
    TimePool,
    clipped_squared_errors,
    squared_errors,
)
from shared.core.evaluation.forecasts import SeriesBySymbol
from shared.core.evaluation.skill_score import Skill, skill_score, skill_to_fields

# The contenders, as reports and cards name them.
ZERO_CHANGE: Final = "zero change"
CHALLENGER: Final = "challenger"
CHALLENGER_RAW: Final = "challenger, raw"
CHALLENGER_FROZEN: Final = "challenger, frozen"
CHAMPION: Final = "champion"
ONLINE_LINEAR: Final = "online linear"


@dataclass(frozen=True, slots=True)
class HitRate:
    """How often a forecast had the sign of a change that was not zero."""

    right: int
    moves: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Raw forecasts of similar size and their outcomes, as means in units of volatility."""

    raw: float
    calibrated: float
    outcome: float
    error: float  # the standard error of the mean outcome
    n: int


class Comparison:
    """Errors and skills of several forecasts of the same candles.

    Errors are in units of the symbol's volatility, so that a quiet symbol counts as much as a
    volatile one. Candles across a gap, whose outcome is unknown, are left out.
    """

    def __init__(self, candles: SeriesBySymbol, volatility: Mapping[str, Float64s]) -> None:
        """Take the candles to compare over.

        Args:
            candles: any contender's forecasts; their open times and outcomes are what counts.
            volatility: each symbol's volatility (n,) at the moment of each forecast.
        """
        self._is_known = {symbol: np.isfinite(one.outcome) for symbol, one in candles.items()}
        self._all_times = {symbol: one.open_time_ms for symbol, one in candles.items()}
        self._outcomes = {s: one.outcome[self._is_known[s]] for s, one in candles.items()}
        self._volatility = {s: volatility[s][self._is_known[s]] for s in candles}
        self._times = {s: one.open_time_ms[self._is_known[s]] for s, one in candles.items()}
        self._pool = TimePool(list(self._times.values()))
        self._changes: dict[str, dict[str, Float64s]] = {
            ZERO_CHANGE: {s: np.zeros(len(outcomes)) for s, outcomes in self._outcomes.items()}
        }

    @property
    def symbols(self) -> list[str]:
        """The symbols, sorted."""
        return sorted(self._times)

    @property
    def names(self) -> list[str]:
        """The contenders, zero change first."""
        return list(self._changes)

    @property
    def outcomes(self) -> int:
        """The number of known outcomes, the same for each contender."""
        return sum(map(len, self._times.values()))

    @property
    def moments(self) -> Float64s:
        """The open times (n,) of the candles in ms, each once, oldest first."""
        return self._pool.moments

    def add(self, name: str, series: SeriesBySymbol, *, raw: bool = False) -> None:
        """Add a contender.

        Args:
            name: its name.
            series: its forecasts by symbol.
            raw: whether to take its raw changes, not the calibrated ones.

        Raises:
            ValueError: it forecasts other candles.
        """
        changes = {}
        for symbol, is_known in self._is_known.items():
            one = series[symbol]
            if not np.array_equal(one.open_time_ms, self._all_times[symbol]):
                raise ValueError(f"{name} forecasts other candles of {symbol}")
            changes[symbol] = (one.change if raw else one.calibrated)[is_known]
        self._changes[name] = changes

    def skill(self, name: str, against: str = ZERO_CHANGE) -> Skill | None:
        """Score one contender against another over all symbols."""
        return skill_score(self.errors(name), self.errors(against))

    def symbol_skill(self, name: str, symbol: str, against: str = ZERO_CHANGE) -> Skill | None:
        """Score one contender against another over one symbol."""
        return skill_score(self._symbol_errors(name, symbol), self._symbol_errors(against, symbol))

    def worst_symbol(self, name: str) -> tuple[float, str] | None:
        """Find the symbol of a contender's lowest skill against zero change.

        Returns:
            The skill and the symbol; None if no symbol has a skill.
        """
        skills = ((self.symbol_skill(name, symbol), symbol) for symbol in self.symbols)
        return min(((one.value, symbol) for one, symbol in skills if one is not None), default=None)

    def errors(self, name: str) -> Float64s:
        """Sum a contender's squared errors over the symbols at each of the moments (n,)."""
        return self._pool.sum([self._symbol_errors(name, symbol) for symbol in self._times])

    def cumulative_skill(self, name: str, against: str = ZERO_CHANGE) -> Float64s:
        """Accumulate the share of the other's squared error that is saved, by moment (n,).

        The last value is the skill.
        """
        reference = self.errors(against)
        saved: Float64s = np.cumsum(reference - self.errors(name)) / reference.sum()
        return saved

    def calibration_bins(self, count: int = 10) -> list[CalibrationBin]:
        """Group the challenger's forecasts by raw size into bins of equal number, least first."""
        units = self._flat(self._volatility)
        raw, calibrated = (
            self._flat(self._changes[name]) / units for name in (CHALLENGER_RAW, CHALLENGER)
        )
        outcomes, times = self._flat(self._outcomes) / units, self._flat(self._times)
        parts = np.array_split(np.argsort(raw, kind="stable"), count)
        return [
            CalibrationBin(
                raw=float(raw[at].mean()),
                calibrated=float(calibrated[at].mean()),
                outcome=float(outcomes[at].mean()),
                error=_standard_error(times[at], outcomes[at]),
                n=len(at),
            )
            for at in parts
            if len(at)
        ]

    def hit_rate(self, name: str) -> HitRate:
        """Count how often a contender had the right sign."""
        products = [self._changes[name][s] * self._outcomes[s] for s in self.symbols]
        return HitRate(
            sum(int((p > 0).sum()) for p in products), sum(int((p != 0).sum()) for p in products)
        )

    def to_fields(self) -> dict[str, Any]:
        """Return every contender's skill against zero change as plain values for a card."""
        has_challenger = CHALLENGER in self._changes
        return {
            name: {
                "skill": skill_to_fields(self.skill(name)),
                "challenger_against": skill_to_fields(
                    self.skill(CHALLENGER, name) if has_challenger else None
                ),
                "hits": asdict(self.hit_rate(name)),
                "symbols": {s: skill_to_fields(self.symbol_skill(name, s)) for s in self.symbols},
            }
            for name in self.names
            if name != ZERO_CHANGE
        }

    def _flat(self, by_symbol: Mapping[str, Float64s]) -> Float64s:
        return np.concatenate([np.empty(0), *(by_symbol[symbol] for symbol in self._times)])

    def _symbol_errors(self, name: str, symbol: str) -> Float64s:
        return squared_errors(
            self._changes[name][symbol], self._outcomes[symbol], self._volatility[symbol]
        )


def clipped_skill(series: SeriesBySymbol, volatility: Mapping[str, Float64s]) -> Skill | None:
    """Score calibrated forecasts against zero change over all symbols, with clipped outcomes.

    Args:
        series: forecasts by symbol.
        volatility: each symbol's volatility (n,) at the moment of each forecast.
    """
    times, errors, zero_errors = [], [], []
    for symbol, one in sorted(series.items()):
        known = np.isfinite(one.outcome)
        outcomes, units = one.outcome[known], volatility[symbol][known]
        times.append(one.open_time_ms[known])
        errors.append(clipped_squared_errors(one.calibrated[known], outcomes, units))
        zero_errors.append(clipped_squared_errors(np.zeros(len(units)), outcomes, units))
    pool = TimePool(times)
    return skill_score(pool.sum(errors), pool.sum(zero_errors))


def _standard_error(times_ms: Float64s, outcomes: Float64s) -> float:
    """Estimate the standard error of the mean of outcomes, those of a moment being one sample."""
    sums = TimePool([times_ms]).sum([outcomes - outcomes.mean()])
    return sqrt(float(sums @ sums)) / len(outcomes)
