"""Errors of the newest forecasts, by symbol and moment."""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.core.arrays import Float64s
from shared.core.evaluation.errors import squared_errors
from shared.core.evaluation.skill_score import Skill, skill_score

_FIRST_SYMBOLS: Final = 64
_SCORED_TOGETHER: Final = 128  # symbols: an array operation for all of them, within little memory
_SCALE, _CHANGE, _OUTCOME = range(3)


class ScoredOutcome(Protocol):
    """A forecast whose outcome is known; None across a gap."""

    @property
    def open_time_ms(self) -> int:
        """Open time of the candle that was forecast."""

    @property
    def calibrated_change(self) -> float:
        """What was forecast, a fraction."""

    @property
    def outcome_change(self) -> float | None:
        """What came of it, a fraction."""


class Forecast(Protocol):
    """What the window needs of a prediction."""

    @property
    def symbol(self) -> str:
        """Whose close it is about."""

    @property
    def open_time_ms(self) -> int:
        """Open time of the candle that is forecast."""

    @property
    def change_scale(self) -> float:
        """The symbol's recent volatility."""

    @property
    def previous(self) -> ScoredOutcome | None:
        """The symbol's forecast before, with its outcome."""


class ErrorWindow:
    """What was forecast and what came of it, at the newest moments.

    A moment's outcome is in its symbol's next prediction, so a moment is put together from two
    records, which may come in any order. Memory is bounded: three numbers for each symbol and
    moment, so 14 MB for 2,000 symbols and 288 moments.
    """

    def __init__(self, interval_ms: int, moments: int) -> None:
        """Begin empty.

        Args:
            interval_ms: between two moments.
            moments: how many of the newest ones count.
        """
        self._interval_ms, self._moments = interval_ms, moments
        # One more: the newest moment's outcomes are still to come.
        self._columns = moments + 1
        self._number_of: dict[str, int] = {}
        self._cells = np.full((3, _FIRST_SYMBOLS, self._columns), np.nan)
        self._newest: int | None = None  # moment, counted in intervals since 1970
        self._pooled: dict[
            int, tuple[float, float] | None
        ] = {}  # by moment: the model, zero change

    def add(self, forecast: Forecast) -> bool:
        """Add a forecast and the outcome it carries; return whether that one counts."""
        symbol, previous = forecast.symbol, forecast.previous
        self._write(symbol, forecast.open_time_ms, _SCALE, forecast.change_scale)
        if previous is None or previous.outcome_change is None:
            return False
        open_time_ms = previous.open_time_ms
        self._write(symbol, open_time_ms, _CHANGE, previous.calibrated_change)
        return self._write(symbol, open_time_ms, _OUTCOME, previous.outcome_change)

    def skills(self, symbols: Iterable[str]) -> Iterator[tuple[str, Skill | None]]:
        """Yield each of the symbols with its skill against zero change.

        None while there is nothing to compare; symbols of which nothing is known are left out.
        """
        known = [symbol for symbol in symbols if symbol in self._number_of]
        for start in range(0, len(known), _SCORED_TOGETHER):
            yield from self._skills_of(known[start : start + _SCORED_TOGETHER])

    def _skills_of(self, symbols: list[str]) -> Iterator[tuple[str, Skill | None]]:
        numbers = np.array([self._number_of[symbol] for symbol in symbols])
        columns = np.array(self._moments_in_order()) % self._columns
        errors, zero_errors, is_complete = _errors(self._cells[:, numbers[:, None], columns])
        for row, (symbol, chosen) in enumerate(zip(symbols, is_complete, strict=True)):
            yield symbol, skill_score(errors[row, chosen], zero_errors[row, chosen])

    def pooled_skill(self) -> Skill | None:
        """Return the skill of all symbols together: those of a moment are one sample.

        The very last moment with an outcome is left out: it may still lack symbols.
        """
        sums = [pair for moment in self._moments_in_order() if (pair := self._pool(moment))]
        if len(sums) <= 1:
            return None
        errors, zero_errors = np.array(sums[:-1]).T
        return skill_score(errors, zero_errors)

    def _pool(self, moment: int) -> tuple[float, float] | None:
        """Return the sums of errors over the symbols at a moment; None without any."""
        if moment not in self._pooled:
            symbols = len(self._number_of)
            errors, zero_errors, chosen = _errors(self._cells[:, :symbols, moment % self._columns])
            sums = float(errors[chosen].sum()), float(zero_errors[chosen].sum())
            self._pooled[moment] = sums if chosen.any() else None
        return self._pooled[moment]

    def _write(self, symbol: str, open_time_ms: int, field: int, value: float) -> bool:
        """Write a number; return whether its moment counts."""
        moment = open_time_ms // self._interval_ms
        if not self._make_room(moment):
            return False
        number = self._number_of.setdefault(symbol, len(self._number_of))
        if number == self._cells.shape[1]:
            more = np.full_like(self._cells, np.nan)
            self._cells = np.concatenate([self._cells, more], axis=1)
        self._cells[field, number, moment % self._columns] = value
        self._pooled.pop(moment, None)
        return True

    def _make_room(self, moment: int) -> bool:
        """Let the window reach a moment; return whether it is within the window."""
        if self._newest is None:
            self._newest = moment
        for newer in range(max(self._newest + 1, moment - self._columns + 1), moment + 1):
            self._cells[:, :, newer % self._columns] = np.nan
        if moment > self._newest:
            self._newest = moment
            oldest = moment - self._columns + 1
            self._pooled = {at: sums for at, sums in self._pooled.items() if at >= oldest}
        return moment > self._newest - self._columns

    def _moments_in_order(self) -> range:
        if self._newest is None:
            return range(0)
        return range(self._newest - self._columns + 1, self._newest + 1)


def _errors(cells: Float64s) -> tuple[Float64s, Float64s, NDArray[np.bool_]]:
    """Return squared errors of forecasts (3, ...) and of zero change, and which are complete."""
    scale, change, outcome = cells
    is_complete = (scale > 0.0) & ~(np.isnan(change) | np.isnan(outcome))
    unit = np.where(is_complete, scale, 1.0)
    errors = squared_errors(change, outcome, unit)
    return errors, squared_errors(np.zeros_like(change), outcome, unit), is_complete
