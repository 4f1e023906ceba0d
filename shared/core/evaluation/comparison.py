"""Forecasts of the same held-out candles, side by side."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from math import sqrt
from typing import Any, Final

import numpy as np

from shared.core.arrays import Float64s
from shared.core.evaluation.skill_score import Skill, pool_by_time, skill_score

ZERO: Final = "zero change"
CANDIDATE: Final = "candidate"
INCUMBENT: Final = "version in use"
RAW: Final = "candidate, raw"
FROZEN: Final = "candidate, frozen"
LINEAR: Final = "online linear"


@dataclass(frozen=True, slots=True, eq=False)
class ForecastSeries:
    """A symbol's forecasts (n,), oldest first; changes are fractions, an outcome across a gap is NaN."""

    open_time_ms: Float64s  # of the candle forecast
    change: Float64s
    calibrated: Float64s
    outcome: Float64s

    def at(self, times_ms: Float64s) -> "ForecastSeries":
        """Return the forecasts of the candles that open at some of these times."""
        chosen = np.isin(self.open_time_ms, times_ms)
        return ForecastSeries(
            self.open_time_ms[chosen],
            self.change[chosen],
            self.calibrated[chosen],
            self.outcome[chosen],
        )


SeriesBySymbol = Mapping[str, ForecastSeries]
"""By symbol."""


def shared_times(entered: Iterable[SeriesBySymbol]) -> dict[str, Float64s]:
    """Return by symbol the open times (n,) of the candles that all of these forecast."""
    every = list(entered)
    symbols = sorted(set.intersection(*(set(tracks) for tracks in every)))
    return {
        s: reduce(np.intersect1d, [tracks[s].open_time_ms for tracks in every]) for s in symbols
    }


@dataclass(frozen=True, slots=True)
class HitRate:
    """How often a forecast had the sign of a change that was not zero."""

    right: int
    moves: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Raw forecasts of about one size, and what came of them: means in units of volatility."""

    raw: float
    calibrated: float
    outcome: float
    error: float  # of the mean outcome, one standard error; all symbols of a moment are one sample
    n: int


class Comparison:
    """Changes forecast by several ways for the same candles; errors are in units of the symbol's volatility.

    So a quiet symbol counts as much as a wild one.
    """

    def __init__(self, tracks: SeriesBySymbol, volatility: Mapping[str, Float64s]) -> None:
        """Take the candles of these tracks, and each symbol's volatility (n,) when a forecast was made."""
        self._known = {symbol: np.isfinite(track.outcome) for symbol, track in tracks.items()}
        self._all_times = {symbol: track.open_time_ms for symbol, track in tracks.items()}
        self._times = {
            symbol: track.open_time_ms[self._known[symbol]] for symbol, track in tracks.items()
        }
        self._outcomes = {
            symbol: track.outcome[self._known[symbol]] for symbol, track in tracks.items()
        }
        self._units = {symbol: volatility[symbol][self._known[symbol]] for symbol in tracks}
        self._moments, self._place = np.unique(self._flat(self._times), return_inverse=True)
        self._changes: dict[str, dict[str, Float64s]] = {
            ZERO: {symbol: np.zeros(len(outcome)) for symbol, outcome in self._outcomes.items()}
        }

    @property
    def symbols(self) -> list[str]:
        """The symbols that all forecasts have."""
        return sorted(self._times)

    @property
    def names(self) -> list[str]:
        """The forecasts, zero change first."""
        return list(self._changes)

    @property
    def outcomes(self) -> int:
        """How many forecasts each way made whose outcome is known."""
        return sum(map(len, self._times.values()))

    def add(self, name: str, tracks: SeriesBySymbol, *, raw: bool = False) -> None:
        """Add a forecast: the calibrated changes of its tracks, or the raw ones.

        Raises:
            ValueError: it is not of the same candles.
        """
        entered = {}
        for symbol, known in self._known.items():
            track = tracks[symbol]
            if not np.array_equal(track.open_time_ms, self._all_times[symbol]):
                message = f"{name} forecasts other candles of {symbol}"
                raise ValueError(message)
            entered[symbol] = (track.change if raw else track.calibrated)[known]
        self._changes[name] = entered

    def skill(self, name: str, against: str = ZERO) -> Skill | None:
        """Return the pooled skill of one forecast against another; all symbols of a moment are one sample."""
        return skill_score(self.errors(name), self.errors(against))

    def symbol_skill(self, name: str, symbol: str, against: str = ZERO) -> Skill | None:
        """Return one symbol's skill of a forecast against another."""
        return skill_score(self._errors(name, symbol), self._errors(against, symbol))

    def worst(self, name: str) -> tuple[float, str] | None:
        """Return a forecast's lowest skill against zero change for a symbol, and which; None if there is none."""
        found = ((self.symbol_skill(name, symbol), symbol) for symbol in self.symbols)
        return min(((one.value, symbol) for one, symbol in found if one is not None), default=None)

    def moments(self) -> Float64s:
        """Return the open times (n,) of the candles forecast, in ms, each once, oldest first."""
        return self._moments

    def errors(self, name: str) -> Float64s:
        """Return the squared errors (n,) of a forecast, summed over the symbols at each of the moments."""
        errors = self._flat({symbol: self._errors(name, symbol) for symbol in self._times})
        sums: Float64s = np.bincount(self._place, errors, len(self._moments)).astype(np.float64)
        return sums

    def saved(self, name: str, against: str = ZERO) -> Float64s:
        """Return the share of the other's squared error that is saved by each moment (n,): last, the skill."""
        theirs = self.errors(against)
        saved: Float64s = np.cumsum(theirs - self.errors(name)) / theirs.sum()
        return saved

    def bins(self, count: int = 10) -> list[CalibrationBin]:
        """Return the candidate's forecasts by the size of the raw one, in bins of as many each, the least first."""
        units = self._flat(self._units)
        raw, calibrated = (self._flat(self._changes[name]) / units for name in (RAW, CANDIDATE))
        outcomes, times = self._flat(self._outcomes) / units, self._flat(self._times)
        parts = np.array_split(np.argsort(raw, kind="stable"), count)
        return [
            CalibrationBin(
                raw=float(raw[at].mean()),
                calibrated=float(calibrated[at].mean()),
                outcome=float(outcomes[at].mean()),
                error=_error(times[at], outcomes[at]),
                n=len(at),
            )
            for at in parts
            if len(at)
        ]

    def hits(self, name: str) -> HitRate:
        """Return how often a forecast had the right sign."""
        products = [self._changes[name][s] * self._outcomes[s] for s in self.symbols]
        return HitRate(
            sum(int((p > 0).sum()) for p in products), sum(int((p != 0).sum()) for p in products)
        )

    def plain(self) -> dict[str, Any]:
        """Return every forecast's skill against zero change, pooled and by symbol, as plain values for a card."""
        return {
            name: {
                "skill": _plain(self.skill(name)),
                "candidate_against": _plain(self.skill(CANDIDATE, name))
                if CANDIDATE in self._changes
                else None,
                "hits": asdict(self.hits(name)),
                "symbols": {
                    symbol: _plain(self.symbol_skill(name, symbol)) for symbol in self.symbols
                },
            }
            for name in self.names
            if name != ZERO
        }

    def _flat(self, by_symbol: Mapping[str, Float64s]) -> Float64s:
        return np.concatenate([np.empty(0), *(by_symbol[symbol] for symbol in self._times)])

    def _errors(self, name: str, symbol: str) -> Float64s:
        missed: Float64s = (self._changes[name][symbol] - self._outcomes[symbol]) / self._units[
            symbol
        ]
        return missed * missed


def _error(times_ms: Float64s, outcomes: Float64s) -> float:
    """Return the standard error of a mean whose samples of one moment go together."""
    sums = pool_by_time([times_ms], [outcomes - outcomes.mean()])
    return sqrt(float(sums @ sums)) / len(outcomes)


def skill_of(scores: Mapping[str, Any], name: str) -> Skill | None:
    """Return a forecast's pooled skill against zero change out of a card's scores, which have `plain` as `forecasts`.

    None where a card has none, or one of an older form.
    """
    found = scores.get("forecasts", {}).get(name, {}).get("skill")
    return None if found is None else Skill(**found)


def _plain(found: Skill | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
