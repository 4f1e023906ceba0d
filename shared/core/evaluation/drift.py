"""Detect whether the champion forecasts worse than it did, from its newest outcomes."""

from math import sqrt
from typing import Final

import numpy as np

from shared.core.evaluation.comparison import CHALLENGER
from shared.core.evaluation.errors import squared_errors
from shared.core.evaluation.skill_score import Skill, probability_above, skill_score
from shared.core.model.card import Card
from shared.core.online.prediction import Outcome, Prediction

SIGNIFICANCE: Final = 0.01  # probability of detecting drift at one look where there is none


class RecentErrors:
    """Squared errors of one model version at its newest moments.

    Memory is bounded: so many moments, and the newest prediction's scale of each symbol. Errors
    are in units of each prediction's scale (the symbol's volatility), bounded.
    """

    def __init__(self, version: str, moments: int, promised: Skill | None = None) -> None:
        """Start without errors.

        Args:
            version: the model version.
            moments: how many of the newest moments count.
            promised: the version's skill on its held-out candles.
        """
        self.version, self._moments, self._promised = version, moments, promised
        self._sums: dict[int, tuple[float, float]] = {}  # by open time: the version, zero change
        self._scales: dict[str, tuple[int, float]] = {}  # by symbol: open time, scale

    def add(self, prediction: Prediction) -> None:
        """Add the outcome that a prediction carries; a symbol's predictions come in order."""
        previous, newest = prediction.previous, self._scales.get(prediction.symbol)
        self._scales[prediction.symbol] = prediction.open_time_ms, prediction.change_scale
        if previous is None or previous.model_version != self.version or newest is None:
            return
        open_time_ms, scale = newest
        if open_time_ms == previous.open_time_ms and scale > 0.0:
            self._add_outcome(previous, scale)

    def skill(self) -> Skill | None:
        """Score the newest complete moments against zero change; None while they are too few."""
        if len(self._sums) <= self._moments:
            return None
        # The very last moment may still lack symbols.
        errors, zero_errors = np.array([self._sums[at] for at in sorted(self._sums)[:-1]]).T
        return skill_score(errors, zero_errors)

    def drift(self) -> str | None:
        """Return the reason why the version should be replaced, or None."""
        return drift_reason(self.skill(), self._promised)

    def _add_outcome(self, previous: Outcome, scale: float) -> None:
        change, outcome = previous.calibrated_change, previous.outcome_change
        if outcome is None:
            return
        time_ms = previous.open_time_ms
        errors, zero_errors = self._sums.get(time_ms, (0.0, 0.0))
        self._sums[time_ms] = (
            errors + squared_errors(change, outcome, scale),
            zero_errors + squared_errors(0.0, outcome, scale),
        )
        if len(self._sums) > self._moments + 1:
            del self._sums[min(self._sums)]


def held_out_skill(card: Card) -> Skill | None:
    """Read the skill that a version had on its held-out candles; None if it was never scored."""
    scores = card.scores.get("forecasts", {}).get(CHALLENGER, {}).get("skill")
    return None if scores is None else Skill(**scores)


def drift_reason(recent: Skill | None, promised: Skill | None) -> str | None:
    """Test whether a version has drifted.

    It has if its recent skill is below zero, or below its skill on held-out candles; both beyond
    chance. For the latter the difference of the two skills is tested, each with its own variance,
    which allows for correlation in time.

    Returns:
        The reason with its figures, or None.
    """
    if recent is None or recent.value >= (0.0 if promised is None else max(0.0, promised.value)):
        return None
    text = f"its skill over the last {recent.n} candles is {recent.value:+.3%}"
    p = _probability_below(recent.value, recent.standard_error)
    if p < SIGNIFICANCE:
        return f"{text}, below zero with p = {p:.2g}"
    if promised is None:
        return None
    error = sqrt(recent.standard_error**2 + promised.standard_error**2)
    p = _probability_below(recent.value - promised.value, error)
    if p >= SIGNIFICANCE:
        return None
    return f"{text}, below its {promised.value:+.3%} on held-out candles with p = {p:.2g}"


def _probability_below(value: float, standard_error: float) -> float:
    """Compute the probability of a value as low as this if the true value were zero."""
    if standard_error == 0.0:
        return 1.0 if value >= 0.0 else 0.0
    return probability_above(-value, standard_error)
