"""Compare forecasts of the same held-out candles."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import sqrt
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.errors import TimePool, bounded, squared_errors
from shared.core.evaluation.forecasts import SeriesBySymbol
from shared.core.evaluation.skill_score import Skill, clark_west_p, skill_score, skill_to_fields

# The contenders, as reports and cards name them.
ZERO_CHANGE: Final = "zero change"
CHALLENGER: Final = "challenger"
CHALLENGER_RAW: Final = "challenger, raw"
CHALLENGER_FROZEN: Final = "challenger, frozen"
CHAMPION: Final = "champion"


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
    volatile one, and bounded, so that no single candle decides. Candles across a gap, whose
    outcome is unknown, are left out.
    """

    def __init__(self, candles: SeriesBySymbol, volatility: Mapping[str, Float64s]) -> None:
        """Take the candles to compare over.

        Args:
            candles: any contender's forecasts; their open times and outcomes are what counts.
            volatility: each symbol's volatility (n,) at the moment of each forecast.
        """
        self._candles = candles
        self._is_known = np.isfinite(_join([one.outcome for one in candles.values()]))
        self._outcomes = self._known([one.outcome for one in candles.values()])
        self._times = self._known([one.open_time_ms for one in candles.values()])
        self._volatility = self._known([volatility[symbol] for symbol in candles])
        ends = np.cumsum([np.isfinite(one.outcome).sum() for one in candles.values()]).tolist()
        self._rows = {s: slice(*at) for s, at in zip(candles, pairwise([0, *ends]), strict=True)}
        self._pool = TimePool(self._times)
        self._changes = {ZERO_CHANGE: np.zeros(len(self._outcomes))}

    @property
    def symbols(self) -> list[str]:
        """The symbols, sorted."""
        return sorted(self._rows)

    @property
    def names(self) -> list[str]:
        """The contenders, zero change first."""
        return list(self._changes)

    @property
    def outcomes(self) -> int:
        """The number of known outcomes, the same for each contender."""
        return len(self._times)

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
        for symbol, candles in self._candles.items():
            if not np.array_equal(series[symbol].open_time_ms, candles.open_time_ms):
                raise ValueError(f"{name} forecasts other candles of {symbol}")
        chosen = [series[symbol] for symbol in self._candles]
        self._changes[name] = self._known([one.change if raw else one.calibrated for one in chosen])

    def skill(self, name: str, against: str = ZERO_CHANGE) -> Skill | None:
        """Score one contender against another over all symbols."""
        return skill_score(self.errors(name), self.errors(against))

    def symbol_skill(self, name: str, symbol: str, against: str = ZERO_CHANGE) -> Skill | None:
        """Score one contender against another over one symbol."""
        rows = self._rows[symbol]
        return skill_score(self._all_errors(name)[rows], self._all_errors(against)[rows])

    def nested_p(self, name: str, against: str = ZERO_CHANGE) -> float | None:
        """Test one contender against another that is nested in it, by Clark and West."""
        changes = [bounded(self._changes[one] / self._volatility) for one in (name, against)]
        distances = self._pool.sum((changes[0] - changes[1]) ** 2)
        return clark_west_p(self.errors(name), self.errors(against), distances)

    def worst_symbol(self, name: str) -> tuple[float, str] | None:
        """Find the symbol of a contender's lowest skill against zero change.

        Returns:
            The skill and the symbol; None if no symbol has a skill.
        """
        skills = ((self.symbol_skill(name, symbol), symbol) for symbol in self.symbols)
        return min(((one.value, symbol) for one, symbol in skills if one is not None), default=None)

    def errors(self, name: str) -> Float64s:
        """Sum a contender's squared errors over the symbols at each of the moments (n,)."""
        return self._pool.sum(self._all_errors(name))

    def cumulative_skill(self, name: str, against: str = ZERO_CHANGE) -> Float64s:
        """Accumulate the share of the other's squared error that is saved, by moment (n,).

        The last value is the skill.
        """
        reference = self.errors(against)
        saved: Float64s = np.cumsum(reference - self.errors(name)) / reference.sum()
        return saved

    def calibration_bins(self, count: int = 10) -> list[CalibrationBin]:
        """Group the challenger's forecasts by raw size into bins of equal number, least first."""
        raw, calibrated, outcomes = (
            bounded(changes / self._volatility)
            for changes in (
                self._changes[CHALLENGER_RAW],
                self._changes[CHALLENGER],
                self._outcomes,
            )
        )
        parts = np.array_split(np.argsort(raw, kind="stable"), count)
        return [
            CalibrationBin(
                raw=float(raw[at].mean()),
                calibrated=float(calibrated[at].mean()),
                outcome=float(outcomes[at].mean()),
                error=_standard_error(self._times[at], outcomes[at]),
                n=len(at),
            )
            for at in parts
            if len(at)
        ]

    def hit_rate(self, name: str) -> HitRate:
        """Count how often a contender had the right sign."""
        products = self._changes[name] * self._outcomes
        return HitRate(int((products > 0).sum()), int((products != 0).sum()))

    def to_fields(self) -> dict[str, Any]:
        """Return every contender's skill against zero change as plain values for a card."""
        return {name: self._fields(name) for name in self.names if name != ZERO_CHANGE}

    def _fields(self, name: str) -> dict[str, Any]:
        has_challenger = CHALLENGER in self._changes
        is_nested = has_challenger and name == CHALLENGER_FROZEN
        against = self.skill(CHALLENGER, name) if has_challenger else None
        return {
            "skill": skill_to_fields(self.skill(name)),
            "nested_p": self.nested_p(name),
            "challenger_against": skill_to_fields(against),
            "challenger_nested_p": self.nested_p(CHALLENGER, name) if is_nested else None,
            "hits": asdict(self.hit_rate(name)),
            "symbols": {s: skill_to_fields(self.symbol_skill(name, s)) for s in self.symbols},
        }

    def _known(self, by_symbol: Sequence[Float64s]) -> Float64s:
        """Join the symbols' values, without those of unknown outcomes."""
        return _join(by_symbol)[self._is_known]

    def _all_errors(self, name: str) -> Float64s:
        return squared_errors(self._changes[name], self._outcomes, self._volatility)


def pooled_skill(series: SeriesBySymbol, volatility: Mapping[str, Float64s]) -> Skill | None:
    """Score calibrated forecasts against zero change over all symbols.

    Args:
        series: forecasts by symbol.
        volatility: each symbol's volatility (n,) at the moment of each forecast.
    """
    # Sorted, since the order in which symbols are summed changes the last bits.
    in_order = dict(sorted(series.items()))
    comparison = Comparison(in_order, volatility)
    comparison.add(CHALLENGER, in_order)
    return comparison.skill(CHALLENGER)


def _standard_error(times_ms: Float64s, outcomes: Float64s) -> float:
    """Estimate the standard error of the mean of outcomes, those of a moment being one sample."""
    sums = TimePool(times_ms).sum(outcomes - outcomes.mean())
    return sqrt(float(sums @ sums)) / len(outcomes)


def _join(arrays: Sequence[Float64s]) -> Float64s:
    return np.concatenate([np.empty(0), *arrays])
